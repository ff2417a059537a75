//! The link and the state of a pull request.

use crate::text::pull_request_id::PullRequestId;
use serde::{Deserialize, Serialize};

/// Whether a pull request can still change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullRequestState {
    /// It awaits review or merge.
    #[default]
    Open,
    /// It was closed without a merge.
    Closed,
    /// Its commits are in the base branch.
    Merged,
}

impl PullRequestState {
    pub fn display_name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Merged => "merged",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestLink {
    pub id: PullRequestId,
    pub url: String,
    pub branch: String,
}
