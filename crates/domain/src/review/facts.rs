//! The facts of the decision about a review, which the ledger stores with it.

use super::{Permission, RequestedAction};
use crate::project::Settings;
use crate::project::budget::{Budget, DailyUsage};
use crate::project::spending::SpendingFact;
use crate::review::pull_request::{LastRevision, PullRequestState};
use crate::text::id::{IntegrationId, JobId, ProjectId, RepositoryName, TicketKey};
use crate::text::time::Timestamp;
use crate::ticket::LastOutcome;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewFacts {
    pub now: Timestamp,
    pub asks: RequestedAction,
    pub author: String,
    /// Pullyard wrote it: recognized by the account, and by the marker if a user owns that account.
    pub own: bool,
    /// The code and job of the earlier answer, if it is final or the review still waits.
    pub first: Option<(String, Option<JobId>)>,
    pub stored: Option<StoredResult>,
    pub project: ProjectId,
    /// `None` if the project does not exist.
    pub settings: Option<ReviewSettings>,
    pub integration: IntegrationId,
    pub repository: RepositoryName,
    pub connected: bool,
    pub number: u64,
    pub state: PullRequestState,
    /// `None` until the forge was queried.
    pub permission: Option<Permission>,
    pub ticket: Option<TicketFacts>,
    pub revised: Option<LastRevision>,
    pub today: DailyUsage,
    /// The limits of the ticket or pull request and their use. `None` without limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spending: Option<SpendingFact>,
    /// For a request for a review by an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_review: Option<AgentReviewFacts>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum StoredResult {
    Deferred {},
    Started {
        job: JobId,
    },
    /// It belongs to a project outside the scope of the hook that delivered it.
    Elsewhere {},
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewSettings {
    pub revise_on_review: bool,
    /// Whether reviews that cannot start a job now wait.
    pub coalesce: bool,
    pub held_by: Option<String>,
    pub budget: Budget,
}

impl From<&Settings> for ReviewSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            revise_on_review: settings.revise_on_review,
            coalesce: settings.coalesce,
            held_by: settings.held_by.clone(),
            budget: settings.budget,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketFacts {
    pub key: TicketKey,
    pub closed: bool,
    pub active_job: Option<JobId>,
    pub last_outcome: Option<LastOutcome>,
    /// Whether other reviews of this pull request wait.
    pub defers: bool,
    pub deferred: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentReviewFacts {
    pub from_fork: bool,
    pub head: String,
    /// The job that reviews the pull request now.
    pub active_job: Option<JobId>,
    /// The last completed review: its job and its commit.
    pub last: Option<(JobId, String)>,
}
