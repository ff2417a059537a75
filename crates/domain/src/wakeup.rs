//! What a wake-up says: look at this now. A hint; the table holds the truth.

use crate::id::{HookName, IntegrationId, JobId, ProjectId, TicketKey};
use crate::pull_request_id::PullRequestId;
use crate::review::ReviewEvent;
use serde::{Deserialize, Serialize};

/// A job may need a task started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobWakeup {
    pub job: JobId,
}

/// A ticket may need settling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketWakeup {
    pub project: ProjectId,
    pub ticket: TicketKey,
}

/// What people read on a pull request may have to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullRequestWakeup {
    pub pull_request: PullRequestId,
}

/// A repository may have to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollWakeup {
    pub poll: ProjectId,
    pub integration: IntegrationId,
    /// The forge's id of it.
    pub repository: u64,
}

/// A review that came while too many others did: it is decided in turn. The one message that the table
/// does not know yet; the forge still has the review, and comparing with it finds one that was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuedReview {
    /// By which hook it came, if by one.
    pub hook: Option<HookName>,
    /// For whose projects it may be decided; the first is where it is recorded if it belongs to none.
    pub projects: Vec<ProjectId>,
    pub event: ReviewEvent,
}

/// A message of the queue that is worked through one after the other in each group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Effect {
    /// A ticket may need settling.
    Settle(TicketWakeup),
    /// A job's review may have to be read.
    Admit(JobWakeup),
    /// What people read on a pull request may have to be written.
    Tell(PullRequestWakeup),
    /// A repository may have to be looked at.
    Poll(PollWakeup),
    /// A review is decided in turn.
    Review(Box<QueuedReview>),
}
