//! Breakers of model accounts: `/v1/breakers…`.

use pullyard_domain::agent::breaker::BreakerId;
use pullyard_domain::text::time::{Timestamp, WireTime};
use serde::{Deserialize, Serialize};

/// An open breaker of a model account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Breaker {
    /// Account and agent: `project/PROJECT/AGENT` or `runner/RUNNER/AGENT`.
    pub account: String,
    /// Cause: `limit_reached` or `provider_unavailable`.
    pub code: String,
    /// Cause as a sentence.
    pub sentence: String,
    /// No job uses the account before this time. If it is past: when the last waiting job may start.
    #[serde(with = "WireTime")]
    pub until: Timestamp,
    /// When the breaker last opened.
    #[serde(with = "WireTime")]
    pub opened: Timestamp,
    /// How often it opened in a row.
    pub times: u32,
}

/// Answer to `GET /v1/breakers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Breakers {
    /// At most 100, by account.
    pub breakers: Vec<Breaker>,
}

/// Body of `POST /v1/breakers/close`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseBreaker {
    /// Account and capability, as in `Breaker`.
    #[schemars(regex(pattern = BreakerId::PATTERN))]
    pub account: String,
}

/// Answer to `POST /v1/breakers/close`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClosedBreaker {
    /// Account and capability, as in `Breaker`.
    pub account: String,
    /// Whether the breaker was still open; if not, no job waited for it.
    pub closed: bool,
}
