//! Reviews a pull request: reads it, and posts one review with its findings.

use super::{AgentWrites, KindSpec, Publishes};
use crate::agent::files::{OUTPUT_FILE, QUESTION_FILE};
use serde::{Deserialize, Serialize};

pub(super) const SPEC: KindSpec = KindSpec {
    label: "Review",
    title_prefix: "Review ",
    answers_reviews: false,
    moves_ticket_unstarted: true,
    side_files: &[QUESTION_FILE, OUTPUT_FILE],
    writes: AgentWrites::OutputFile,
    publishes: Publishes::Review,
    checkout: true,
};

/// A pull request to review, as its forge knew it at the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestUnderReview {
    pub number: u64,
    pub url: String,
    pub title: String,
    pub branch: String,
    pub head: String,
    /// The commit that the last review reached, if only later changes are reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}
