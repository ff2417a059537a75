//! A job: its stored form, its states, and the transitions between them.
//! Each transition is a pure function from the stored job to its successor, and rejects what the caller may not do. The
//! store only checks that the job has not changed since it was read.

pub mod agent_check;
pub mod artifact;
mod cancel;
mod charge;
mod context;
mod denials;
pub mod diagnosis;
pub mod explanation;
mod fault;
pub mod fleet;
mod forge_wait;
mod heartbeat;
mod inputs;
mod kind;
pub mod limit;
mod model;
mod order;
mod record;
mod retry;
pub mod select;
mod spending;
mod suspension;
pub mod sweep;
pub mod task_stop;
mod transition;
mod watch;

pub use cancel::{Cancel, MAX_REASON_CHARS, MAX_STOP_TIME, STOP_TIMEOUT};
pub use context::{CONTEXT_TIMEOUT, ContextFault, ContextWait};
pub use fault::{DispatchFault, FailedStarts, StartRefusal};
pub use forge_wait::{ForgeWait, MAX_FORGE_WAIT};
pub use heartbeat::SILENT_AFTER;
pub use kind::{AgentWrites, JobKind, KindSpec, Publishes, PullRequestUnderReview};
pub use model::{MAX_MODEL_FAULTS, ModelFaultReport, ModelWait};
pub use record::{AgentReport, AttemptEnd, AttemptRecord};
pub use retry::{
    can_resume_work, check_retryable, has_handled_reviews, has_reviews_to_pass_on, is_resumable, is_withdrawn_unread,
    to_retry,
};
pub use suspension::{
    Input, MAX_INPUT_CHARS, MAX_INPUTS, MAX_QUESTION_CHARS, Pause, Question, RUNNER_AFFINITY, Session, SuspendReport,
    Suspension,
};
pub use transition::{Claim, End, FINISH_GRACE, Fence, PUSH_WINDOW, START_TIMEOUT, TransitionRefusal, WAKE_TIMEOUT};

use crate::project::budget::Reservation;
use crate::project::spending::JobCharge;
use crate::project::task::Task;
use crate::project::{Compute, DEFAULT_SUSPENSION_LIMIT, OfflinePolicy, Resume};
pub use crate::project::{PRIORITY_OFFSET, Priority};
use crate::text::code::coded_enum;
use crate::text::failure::Failure;
use crate::text::id::{
    ClaimId, ClassId, FinishId, InstanceId, IntegrationId, JobId, ProjectId, ReviewId, RunId, RunnerId, TicketKey,
};
use crate::text::key_of::KeyOwner;
use crate::text::pull_request_id::PullRequestId;
use crate::text::stored::is_default;
use crate::text::time::Timestamp;
use crate::text::trace::TraceId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

coded_enum! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    #[schemars(rename = "Status")]
    pub enum JobStatus {
        /// Waits until its reviews are read and its context is frozen.
        Pending = "pending", "Pending";
        /// Any runner that meets its requirements may claim it.
        Ready = "ready", "Ready";
        Claimed = "claimed", "Claimed";
        /// The runner fetches and sets up the source.
        Preparing = "preparing", "Preparing";
        Executing = "executing", "Executing";
        /// The runner pushes the work and opens the pull request, or hands over the answer.
        Syncing = "syncing", "Syncing";
        /// Waits for the answer to the agent's question.
        AwaitingInput = "awaiting_input", "Needs answer";
        /// Stopped by a user; may be continued.
        Paused = "paused", "Paused";
        Completed = "completed", "Completed";
        Failed = "failed", "Failed";
        /// Ended by a user or a closed pull request.
        Cancelled = "cancelled", "Cancelled";
    }
}

impl JobStatus {
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    pub fn is_suspended(self) -> bool {
        matches!(self, Self::AwaitingInput | Self::Paused)
    }

    pub fn is_active(self) -> bool {
        matches!(self, Self::Claimed | Self::Preparing | Self::Executing | Self::Syncing)
    }
}

/// The state that users want for the job. A level, not a message: each answer to the runner contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Want")]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    Run,
    Pause,
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Place")]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// In its own Fargate task.
    Fargate,
    /// On any matching runner that claims it.
    Runners,
}

impl Placement {
    pub fn from_compute(compute: Compute) -> Self {
        match compute {
            Compute::Fargate => Self::Fargate,
            Compute::Runners | Compute::RunnersThenFargate => Self::Runners,
        }
    }
}

/// A job as the table stores it. At most about 1 KB: each step writes it, and writes are charged per KB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub project: ProjectId,
    pub kind: JobKind,
    pub status: JobStatus,
    pub ticket: Option<TicketKey>,
    pub retry_of: Option<JobId>,
    pub integration: IntegrationId,
    pub repository: u64,
    pub branch: String,
    /// The ticket's earlier pull request, to continue if it is still open.
    pub continues: Option<ContinuedPullRequest>,
    /// The pull request that it revises or reviews.
    pub revises: Option<RevisedPullRequest>,
    /// In Pending: the progress of reading its review.
    pub waits: Option<ContextWait>,
    /// The step of a run that it does.
    pub step: Option<StepOfRun>,
    /// The run has noted its end.
    #[serde(default, rename = "noted", skip_serializing_if = "is_default")]
    pub is_noted: bool,
    pub class: ClassId,
    pub place: Placement,
    /// In Ready: it waits for a place in limits. See `Job::awaits_place`.
    #[serde(default, rename = "limited", skip_serializing_if = "is_default")]
    pub is_limited: bool,
    /// It got a place, so its end or suspension is a hint for others.
    #[serde(default, rename = "placed", skip_serializing_if = "is_default")]
    pub is_placed: bool,
    #[serde(default, skip_serializing_if = "Task::is_default")]
    pub task: Task,
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    pub created: Timestamp,
    pub ready_since: Timestamp,
    pub attempt: u32,
    /// Whether an agent worked on it. Only then its end counts as the ticket's last job.
    pub worked: bool,
    pub requeues: u32,
    /// A lost attempt may have pushed. In a job that has ended: no later attempt found or excluded that push.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lost_a_push: bool,
    pub dispatch: Dispatch,
    pub run: Option<ActiveAttempt>,
    pub want: DesiredState,
    pub cancel: Option<Cancel>,
    pub pause: Option<Pause>,
    pub question: Option<Question>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub inputs: u32,
    /// Number of inputs that an agent has read, as reported by its runner.
    #[serde(default, rename = "heard", skip_serializing_if = "is_default")]
    pub read_inputs: u32,
    pub session: Option<Session>,
    /// The last fault of the agent's model, while the job waits and while faults are counted.
    pub model: Option<ModelWait>,
    /// Before this time only its runner may end it.
    pub push_until: Option<Timestamp>,
    pub policy: JobPolicy,
    pub reserved: Option<Reservation>,
    /// Its part in the spending of its ticket or pull request, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged: Option<JobCharge>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub spent_usd_micros: u64,
    pub context: String,
    pub failure: Option<Failure>,
    pub result: Option<JobResult>,
    /// The commit of a step with a branch of its own. `result` is added once a user opens its pull request.
    pub pushed: Option<PushedCommit>,
    /// The last end or yield, so that a repeat is recognised.
    pub ended_by: Option<LastReport>,
    pub ended_at: Option<Timestamp>,
    /// Failed sweeps since the last success.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tries: u32,
    pub not_before: Option<Timestamp>,
    /// A user watches it at least until this time. Written without raising `rev`, because it is repeated anyway.
    pub watched_until: Option<Timestamp>,
    pub rev: u64,
}

/// A pull request that the job continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Continues")]
pub struct ContinuedPullRequest {
    /// Number at the forge.
    pub number: u64,
    /// Head branch.
    pub branch: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisedPullRequest {
    pub number: u64,
    pub branch: String,
    pub head: String,
    pub review: Option<ReviewId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOfRun {
    pub run: RunId,
    pub name: String,
    /// An unchanged tree completes the step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_change_nothing: bool,
    /// A job that writes files has an output too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reports: bool,
    /// The commit is pushed to a branch of its own, without a pull request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub has_own_branch: bool,
}

/// The commit of a job without a pull request, on the job's branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PushedCommit {
    /// Branch.
    pub branch: String,
    /// The commit.
    pub head: String,
    /// Files changed by it.
    pub files: u32,
    /// Lines added.
    pub insertions: u32,
    /// Lines removed.
    pub deletions: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    pub number: u32,
    pub due: Timestamp,
    /// A start was requested, and no claim has followed.
    pub starting: bool,
    pub task: Option<String>,
    /// Tasks of this attempt that stopped before they claimed, in order. Their claims may still arrive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead: Vec<String>,
    /// The task of a lost attempt, which may still run. The dispatcher stops it and removes the name before the next start.
    pub orphan: Option<String>,
    pub fault: Option<FailedStarts>,
    /// The trace of the start: a repeated RunTask request must be identical, but its message has another trace.
    pub trace: Option<TraceId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveAttempt {
    pub runner: Option<RunnerId>,
    pub instance: InstanceId,
    /// The claim, so that its repeat gets the same answer.
    pub claim: ClaimId,
    pub started: Timestamp,
    /// The newest stored heartbeat. `None` until the first one after the claim.
    pub heartbeat: Option<Timestamp>,
    /// Time that does not count for the time limit, because the attempt's machine was suspended. Units: milliseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub suspended_ms: u64,
    /// The Fargate task. In an ended job usually only the ATTEMPT item has it.
    pub task: Option<String>,
    /// The container stopped. The runner's finish may still arrive.
    pub died: Option<ContainerStop>,
    /// Its runner waits for the forge in the current phase.
    pub forge_wait: Option<ForgeWait>,
    /// The cost that its runner reported when it stopped. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStop {
    pub at: Timestamp,
    pub failure: Failure,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPolicy {
    pub wall_secs: u64,
    /// Without an event of the agent. Units: seconds.
    pub stall_secs: u64,
    pub requeues: u32,
    pub offline: OfflinePolicy,
    /// Cost of one attempt. Units: millionths of a US dollar.
    pub cost_usd_micros: Option<u64>,
    pub turns: Option<u32>,
    /// Longest wait for an answer, or longest pause; one week if `None`. Units: seconds.
    pub input_secs: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub resume: Resume,
    /// The agent's capability, if the project names secrets for the model. They are read when the runner requests them.
    pub model_of: Option<String>,
    /// The project names a signing key, which is read when the runner requests it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub signs: bool,
    /// Attempts get no token of the forge, because their runner has one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub uses_runner_token: bool,
}

impl JobPolicy {
    pub fn key_owner(&self) -> KeyOwner {
        if self.model_of.is_some() { KeyOwner::Project } else { KeyOwner::Runner }
    }

    pub fn max_suspension(&self) -> Duration {
        self.input_secs.map_or(DEFAULT_SUSPENSION_LIMIT, Duration::from_secs)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobResult {
    /// Branch that it pushed.
    pub branch: String,
    /// Commit at the head of the branch.
    pub head: String,
    /// Number of the pull request.
    pub number: u64,
    /// Page of the pull request.
    pub url: String,
    /// Files changed by the job's commit.
    pub files: u32,
    /// Lines added.
    pub insertions: u32,
    /// Lines removed.
    pub deletions: u32,
    /// Answers to review threads; absent if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<Replies>,
}

/// How many review threads were answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replies {
    /// Threads with an answer, including those of an earlier attempt.
    pub answered: u32,
    /// Threads without an answer; the job's events contain the reasons.
    pub failed: u32,
}

impl Job {
    /// The branch of its commit, which an earlier attempt or the job that it retries may have pushed. Before the push, the
    /// branch that it will push.
    pub fn commit_branch(&self) -> &str {
        match (&self.result, &self.pushed) {
            (Some(result), _) => &result.branch,
            (None, Some(pushed)) => &pushed.branch,
            (None, None) => &self.branch,
        }
    }

    pub fn pull_request(&self) -> Option<PullRequestId> {
        self.revises.as_ref().map(|revises| self.pull_request_id(revises.number))
    }

    /// The pull request that it revises or continues, whose reviews concern the job.
    pub fn reviewed_pull_request(&self) -> Option<PullRequestId> {
        let revised = self.pull_request().filter(|_| self.answers_reviews());
        revised.or_else(|| self.continues.as_ref().map(|continues| self.pull_request_id(continues.number)))
    }

    /// The run that has to note the end of the job.
    pub fn unnoted_run(&self) -> Option<&RunId> {
        self.step.as_ref().filter(|_| self.status.is_terminal() && !self.is_noted).map(|step| &step.run)
    }

    pub fn pull_request_id(&self, number: u64) -> PullRequestId {
        PullRequestId { integration: self.integration.clone(), repository: self.repository, number }
    }
}

impl JobResult {
    pub fn pull_request(&self, integration: &IntegrationId, repository: u64) -> PullRequestId {
        PullRequestId { integration: integration.clone(), repository, number: self.number }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReport {
    pub attempt: u32,
    /// The runner's finish; `None` if the job was ended by another caller.
    pub finish: Option<FinishId>,
}

#[cfg(test)]
mod tests;
