//! Breakers of model accounts: `/v1/breakers…`.

#[cfg(feature = "schema")]
use pullyard_domain::breaker::BreakerId;
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};

/// A model's account that is left alone.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Whose, and what its jobs ask of a runner: `project/acme/claude_code`, `runner/rnr_…/codex`.
    pub account: String,
    /// Why: `limit_reached`, `provider_unavailable`.
    pub code: String,
    /// The same in one sentence.
    pub sentence: String,
    /// Until when no job asks it; once that is past, until when the last waiting job may start.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub until: Timestamp,
    /// When it was shut last.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub opened: Timestamp,
    /// How often in a row it was.
    pub times: u32,
}

/// `GET /v1/breakers`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakers {
    /// By account, at most a hundred.
    pub breakers: Vec<Breaker>,
}

/// `POST /v1/breakers/close`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseBreaker {
    /// Which.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = BreakerId::PATTERN)))]
    pub account: String,
}

/// What became of that.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedBreaker {
    /// Which.
    pub account: String,
    /// Jobs waited for it until now; false: nobody did.
    pub closed: bool,
}
