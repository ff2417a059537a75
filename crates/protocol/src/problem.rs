//! Problem documents (RFC 9457) with a stable code and the position of the fault.
//! Source: <https://www.rfc-editor.org/rfc/rfc9457>.

pub use pullyard_domain::project::plan::PlanFault;
use serde::{Deserialize, Serialize};

/// Body of every error response. Its content type is `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// Always `about:blank`; `code` identifies the problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// Reason phrase of the HTTP status.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code for programs.
    pub code: String,
    /// One sentence for users.
    pub detail: String,
    /// Advice, if there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// JSON pointer to the fault in the request's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Only with 422 `plan_invalid`: the first 100 faults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<PlanFault>,
    /// Only with 409 `lease_lost` of a finish: whether the late result was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<bool>,
}
