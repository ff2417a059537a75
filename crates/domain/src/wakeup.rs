//! Wake-up messages. They are hints to read the table, which holds the truth.

use crate::id::{EndpointId, HookName, IntegrationId, JobId, NoticeId, ProjectId, RunId, TicketKey};
use crate::pull_request_id::PullRequestId;
use crate::review::ReviewEvent;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobWakeup {
    pub job: JobId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketWakeup {
    pub project: ProjectId,
    pub ticket: TicketKey,
}

/// The status or comment of a pull request may need an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullRequestWakeup {
    pub pull_request: PullRequestId,
}

/// A ticket may have changed in its tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookWakeup {
    /// The project.
    pub look: ProjectId,
    pub ticket: TicketKey,
}

/// A repository may need to be polled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollWakeup {
    pub poll: ProjectId,
    pub integration: IntegrationId,
    /// The forge's id.
    pub repository: u64,
}

/// A notice may be due at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeWakeup {
    pub notice: NoticeId,
    pub endpoint: EndpointId,
}

/// A run may have a next move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunWakeup {
    /// The run.
    pub advance: RunId,
}

/// A review that arrived with too many others and is decided in turn. It is the only message whose content is not in
/// the table. If it is lost, polling the forge finds the review again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuedReview {
    pub hook: Option<HookName>,
    /// The projects that may decide it. The first one records it if it belongs to none.
    pub projects: Vec<ProjectId>,
    pub event: ReviewEvent,
}

/// A message of the ordered queue. Messages of the same group are handled one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EffectMessage {
    Settle(TicketWakeup),
    Admit(JobWakeup),
    Tell(PullRequestWakeup),
    Poll(PollWakeup),
    Look(LookWakeup),
    Review(Box<QueuedReview>),
    Notify(NoticeWakeup),
    Advance(RunWakeup),
}
