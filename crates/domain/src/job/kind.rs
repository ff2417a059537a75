//! The kinds of job, each with its facts in a `KindSpec`. Its prompt and its plan are in `kinds`.

mod analysis;
mod implement;
mod read;
mod resolve;
mod review;
mod revise;

use super::Job;
use crate::text::code::coded_enum;
pub use review::PullRequestUnderReview;
use serde::{Deserialize, Serialize};

coded_enum! {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    #[schemars(rename = "Kind")]
    pub enum JobKind {
        /// Do the work of the ticket or prompt, as a pull request.
        #[default]
        Implement = "implement";
        /// Change an open pull request according to its reviews.
        Revise = "revise";
        /// Answer a question about the repository, and change nothing.
        Read = "read";
        /// Review a pull request, and change nothing.
        Review = "review";
        /// Review a pull request, fix what is wrong, and report it.
        Resolve = "resolve";
        /// Summarise the open pull requests and issues of a repository, and change nothing.
        Analysis = "analysis";
    }
}

/// The files that an agent may write. The runner reads no others after the agent's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentWrites {
    /// Any file; the change is the work.
    Tree,
    /// Only the folder `.pullyard`; its output file is the work. Such jobs run no setup and no checks.
    OutputFile,
}

/// The object that a job publishes at the forge, in the status Syncing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publishes {
    /// A commit and its pull request.
    Change,
    /// A review of a pull request. With an App, the job's forge token cannot push.
    Review,
    /// Nothing: the finish request contains the output. With an App, the job's forge token is read-only.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub struct KindSpec {
    /// The name that users see.
    pub label: &'static str,
    /// Begins the subject of the commit.
    pub title_prefix: &'static str,
    /// Whether the job exists because of reviews: it waits for their texts, and its retries answer the same reviews.
    pub answers_reviews: bool,
    /// Whether its failure moves the ticket, even if no agent has worked.
    pub moves_ticket_unstarted: bool,
    /// Files for Pullyard that the agent leaves in the worktree; never committed.
    pub side_files: &'static [&'static str],
    pub writes: AgentWrites,
    pub publishes: Publishes,
    /// Whether the agent works in a checkout of the repository. Otherwise the worktree is empty, and with an App, the
    /// job's forge token reads no code.
    pub checkout: bool,
}

impl JobKind {
    pub const fn spec(self) -> &'static KindSpec {
        match self {
            Self::Implement => &implement::SPEC,
            Self::Revise => &revise::SPEC,
            Self::Read => &read::SPEC,
            Self::Review => &review::SPEC,
            Self::Resolve => &resolve::SPEC,
            Self::Analysis => &analysis::SPEC,
        }
    }

    /// Whether the job reviews a pull request, and ends with a posted review.
    pub fn reviews(self) -> bool {
        matches!(self, Self::Review | Self::Resolve)
    }

    /// Whether a completed job has an output.
    pub fn reports(self) -> bool {
        self.reviews() || self.spec().publishes != Publishes::Change
    }
}

impl Job {
    /// Whether runners of this protocol version know the kind.
    pub fn is_known_by(&self, protocol: u32) -> bool {
        let least = match self.kind {
            // Older runners know no patches, outputs and own branches, and refuse an outcome.
            JobKind::Implement | JobKind::Read if self.step.is_some() => 5,
            JobKind::Implement | JobKind::Revise => 1,
            JobKind::Read => 2,
            JobKind::Review => 3,
            JobKind::Resolve | JobKind::Analysis => 4,
        };
        protocol >= least
    }

    pub fn publishes(&self) -> Publishes {
        self.kind.spec().publishes
    }

    /// Whether a completed job may have an output.
    pub fn reports(&self) -> bool {
        self.kind.reports() || self.step.as_ref().is_some_and(|step| step.reports)
    }

    /// Whether the job exists because of reviews; other jobs only take them into account.
    pub fn answers_reviews(&self) -> bool {
        self.kind.spec().answers_reviews
    }
}
