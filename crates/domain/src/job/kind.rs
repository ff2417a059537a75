//! The kinds of job: one row states what a kind does.

mod implement;
mod revise;

use super::Job;
use crate::prompt;
pub use implement::{plan_for_ticket, plan_without_ticket};
pub use revise::{RevisionPlan, plan_revision};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Kind")]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Do the work of the ticket or prompt, as a pull request.
    Implement,
    /// Change an open pull request according to its reviews.
    Revise,
}

#[derive(Clone, Copy, Debug)]
pub struct KindSpec {
    /// The name that users see.
    pub label: &'static str,
    /// Begins the subject of the commit.
    pub title_prefix: &'static str,
    /// Waits for the texts of reviews, and owns these reviews through its retries.
    pub answers_reviews: bool,
    /// Whether its failure moves the ticket, even if no agent has worked.
    pub moves_ticket_unstarted: bool,
    /// Files for Pullyard that the agent leaves in the worktree; never committed.
    pub side_files: &'static [&'static str],
    /// Begins the prompt.
    pub introduction: fn(&prompt::Context) -> String,
}

impl JobKind {
    pub const fn spec(self) -> &'static KindSpec {
        match self {
            Self::Implement => &implement::SPEC,
            Self::Revise => &revise::SPEC,
        }
    }
}

impl Job {
    /// Whether the job exists because of reviews; other jobs only take them into account.
    pub fn answers_reviews(&self) -> bool {
        self.kind.spec().answers_reviews
    }
}
