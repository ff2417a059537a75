//! A job: one piece of work, its states, and the transitions between them.
//!
//! Every transition is a pure function from the stored job to the job to store. It refuses what a caller may
//! not do. The store only checks that the job it read is
//! still the one that it replaces.

mod cancel;
mod charge;
mod context;
mod fault;
mod hears;
mod model;
mod plan;
mod record;
mod rest;
mod retry;
mod transition;
mod watch;

pub use cancel::{Cancel, LONGEST_REASON, STOP_WITHIN};
pub use context::{ContextFault, ContextWait, READ_CONTEXT_FOR};
pub use fault::DispatchFault;
pub use model::{MOST_TROUBLES, ModelWait, Troubled};
pub use plan::{Plan, Revision, branch_name, plan_for_ticket, plan_revision, plan_without_ticket};
pub use record::{Attempt, AttemptEnd, Looked, Work};
pub use rest::{
    Input, LONGEST_INPUT, LONGEST_QUESTION, MOST_INPUTS, PREFERRED_FOR, Pause, Question, Rest, Session, Yielded,
};
pub use retry::{
    as_retry, did_what_was_asked, goes_on_from, leaves_reviews, leaves_work, left_unheard, may_be_retried,
};
pub use transition::{Claim, End, FINISH_GRACE, Fence, NotNow, PUSH_FOR, START_WITHIN, WAKE_WITHIN};

use crate::budget::Reserved;
use crate::failure::Failure;
use crate::id::{
    ClaimId, ClassId, FinishId, InstanceId, IntegrationId, JobId, ProjectId, ReviewId, RunnerId, TicketKey,
};
use crate::key_of::KeyOf;
use crate::project::{Compute, OfflinePolicy, REST_AT_MOST, Resume};
use crate::pull_request_id::PullRequestId;
use crate::task::Task;
use crate::time::Timestamp;
use crate::trace::TraceId;
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// Where a job is.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not ready yet: it waits for its context, another job or a limit.
    Pending,
    /// Anyone who may run it can take it now.
    Ready,
    /// A runner has taken it.
    Claimed,
    /// The source is fetched and set up.
    Preparing,
    /// The agent works.
    Executing,
    /// The work is pushed and the pull request made.
    Syncing,
    /// The agent asked a question.
    AwaitingInput,
    /// A person stopped it; it can go on.
    Paused,
    /// Done.
    Completed,
    /// Did not get there.
    Failed,
    /// A person or a closed pull request ended it.
    Cancelled,
}

impl Status {
    /// Every status, in the published order.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Ready,
        Self::Claimed,
        Self::Preparing,
        Self::Executing,
        Self::Syncing,
        Self::AwaitingInput,
        Self::Paused,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// There is no way out of it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// A runner holds it.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Claimed | Self::Preparing | Self::Executing | Self::Syncing)
    }

    /// As the wire and the table write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Claimed => "claimed",
            Self::Preparing => "preparing",
            Self::Executing => "executing",
            Self::Syncing => "syncing",
            Self::AwaitingInput => "awaiting_input",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Ready => "Ready",
            Self::Claimed => "Claimed",
            Self::Preparing => "Preparing",
            Self::Executing => "Executing",
            Self::Syncing => "Syncing",
            Self::AwaitingInput => "Needs answer",
            Self::Paused => "Paused",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }
}

/// What kind of work a job is.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Make what the ticket or the prompt asks for, as a pull request.
    Implement,
    /// Change an open pull request as its reviewers ask.
    Revise,
}

/// What the job's people want of it. A level, not a message: read at every call of its runner.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// Go on.
    Run,
    /// Stop, so that it can go on later.
    Pause,
    /// Stop for good.
    Cancel,
}

/// Where a job runs.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A Fargate task of its own.
    Fargate,
    /// Whichever matching runner claims it.
    Runners,
}

impl Place {
    /// The place that a project's setting means.
    pub fn of(compute: Compute) -> Self {
        match compute {
            Compute::Fargate => Self::Fargate,
            Compute::Runners => Self::Runners,
        }
    }
}

/// Zeros are not stored: they would be paid for at every step.
fn is_none_yet<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

/// A job as the table stores it, about 1 KB at most: it is written at every step, and writes are
/// charged in whole KB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub project: ProjectId,
    pub kind: Kind,
    pub status: Status,
    /// The ticket that it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketKey>,
    /// The ended job that it retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobId>,
    pub integration: IntegrationId,
    /// The forge's id of its repository.
    pub repository: u64,
    /// The branch that it creates, unless it continues an open pull request.
    pub branch: String,
    /// The ticket's earlier pull request, to continue if it is still open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
    /// The pull request that it revises, and the review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revises: Option<Revises>,
    /// In Pending: how far its review was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<ContextWait>,
    /// Jobs of one class ask the same of a runner.
    pub class: ClassId,
    pub place: Place,
    /// Size and capacity of its Fargate task, frozen when the job was made.
    #[serde(default, skip_serializing_if = "Task::is_default")]
    pub task: Task,
    pub created: Timestamp,
    /// Since when it has been Ready this time.
    pub ready_since: Timestamp,
    /// How many attempts were claimed.
    pub attempt: u32,
    /// Whether an agent worked on it. Only then its end counts as the ticket's last job.
    pub worked: bool,
    /// How often a platform fault put it back.
    pub requeues: u32,
    /// An attempt that may have pushed was lost, and its push was not found or excluded yet. In a cancelled job nobody
    /// looked for it.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub lost_a_push: bool,
    /// Its attempts only look for a lost push, and adopt it. The job fails by this loss if none is found. Implies
    /// `lost_a_push`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopts: Option<Failure>,
    /// In Failed: what is known about the push of a lost attempt. `None` if no such attempt was lost, or if a later
    /// attempt found nothing and failed by its own work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<Looked>,
    /// The start of a task for the next attempt.
    pub dispatch: Dispatch,
    /// The attempt that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    pub want: Want,
    /// Who cancels it, or cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancel>,
    /// Who pauses it, or paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// The agent's question until it is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// How many inputs people gave.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub inputs: u32,
    /// How many inputs an agent has read, by its runners' word.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub heard: u32,
    /// The session for the next attempt, if an earlier one yielded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// The trouble of its agent's model, while it waits for it and while troubles are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelWait>,
    /// Until then only its runner may end it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_until: Option<Timestamp>,
    /// Its limits, frozen when it was made.
    pub policy: Policy,
    /// What it took from its project's budget, and of which day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Reserved>,
    /// Cost of its attempts. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub spent_usd_micros: u64,
    /// The hash of its frozen context. Empty while the context is read.
    pub context: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// The last end or yield, so that a repeat is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Failed sweeps since the last success.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub tries: u32,
    /// It is not swept before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Somebody watches it at least until then. Written without `rev`, because it is repeated anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_until: Option<Timestamp>,
    /// Raised by every write.
    pub rev: u64,
}

/// An earlier pull request to continue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continues {
    pub number: u64,
    pub branch: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revises {
    pub number: u64,
    pub branch: String,
    /// The head when the job was made. Work starts from the newest head.
    pub head: String,
    /// The newest review or request of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewId>,
}

/// Reads the older form too, in which a job kept only its last dead task.
fn one_or_several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Several(Vec<String>),
        One(String),
    }
    Stored::deserialize(from).map(|stored| match stored {
        Stored::Several(all) => all,
        Stored::One(one) => vec![one],
    })
}

/// The start of a Fargate task for the next attempt. The attempt is counted at the claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// How many starts there were for this attempt.
    pub number: u32,
    /// When the sweeper acts: it starts a task, or starts it again if `starting` is on.
    pub due: Timestamp,
    /// A start was requested and no claim followed yet.
    pub starting: bool,
    /// The task, once ECS named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Tasks of this attempt that stopped before they claimed, in order: their claims may still arrive.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_several")]
    pub dead: Vec<String>,
    /// Why the last start failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<DispatchFault>,
    /// The trace of the start. A repeated request must use the same words, and the repeating message belongs to another
    /// trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
}

/// The attempt that holds a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The runner, unless it is a Fargate task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    pub instance: InstanceId,
    /// The claim, so that its repeat gets the same answer.
    pub claim: ClaimId,
    pub started: Timestamp,
    /// The Fargate task. In an ended job only its ATTEMPT has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The container stopped. The runner's finish may still arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died: Option<Died>,
}

/// A container that stopped under a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Died {
    pub at: Timestamp,
    /// The failure, unless the runner reports a better one.
    pub failure: Failure,
}

/// The limits of a job, frozen when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// From claim to end. Units: seconds.
    pub wall_secs: u64,
    /// Without an event of the agent. Units: seconds.
    pub stall_secs: u64,
    /// How many platform faults may put it back.
    pub requeues: u32,
    /// What happens if the runner dies while the agent works.
    pub offline: OfflinePolicy,
    /// Cost of one attempt. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd_micros: Option<u64>,
    /// Requests to the model per attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// Size of the work folder. Units: MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u64>,
    /// How long it may wait for an answer or stay paused; a week if `None`. Units: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_secs: Option<u64>,
    /// What happens if its session cannot be found again.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub resume: Resume,
    /// Its agent's capability, if the project names secrets for the model. They are read when the
    /// runner asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_of: Option<String>,
    /// The project names a signing key, which is read when the runner asks.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub signs: bool,
}

impl Policy {
    /// Whose key its agent uses.
    pub fn key(&self) -> KeyOf {
        if self.model_of.is_some() { KeyOf::Project } else { KeyOf::Runner }
    }

    /// How long it may stand still.
    pub fn rest_at_most(&self) -> Duration {
        self.input_secs.map_or(REST_AT_MOST, Duration::from_secs)
    }
}

/// The result of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    pub branch: String,
    pub head: String,
    pub number: u64,
    pub url: String,
    pub files: u32,
    pub insertions: u32,
    pub deletions: u32,
    /// Answered threads of reviewers; `None` without threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<Replies>,
}

/// How many threads of reviewers were answered.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replies {
    /// So many have an answer, also those that an earlier attempt gave.
    pub answered: u32,
    /// So many got none; the job's events say why.
    pub failed: u32,
}

impl Job {
    /// The pull request that it revises.
    pub fn pull_request(&self) -> Option<PullRequestId> {
        self.revises.as_ref().map(|revises| self.numbered(revises.number))
    }

    /// The pull request that it revises or continues: its reviews concern the job.
    pub fn reviewed(&self) -> Option<PullRequestId> {
        self.pull_request().or_else(|| self.continues.as_ref().map(|continues| self.numbered(continues.number)))
    }

    fn numbered(&self, number: u64) -> PullRequestId {
        PullRequestId { integration: self.integration.clone(), repository: self.repository, number }
    }
}

impl JobResult {
    /// The id of the pull request.
    pub fn pull_request(&self, integration: &IntegrationId, repository: u64) -> PullRequestId {
        PullRequestId { integration: integration.clone(), repository, number: self.number }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedBy {
    pub attempt: u32,
    /// The runner's finish; `None` if somebody else ended the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<FinishId>,
}

#[cfg(test)]
mod tests;
