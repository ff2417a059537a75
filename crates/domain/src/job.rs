//! A job: one piece of work, its states, and the only ways from one to the next.
//!
//! Every transition is a pure function from the job as stored to the job as it shall be stored. What a
//! caller may not do is refused here and nowhere else; the store only proves that the job it read is
//! still the job it replaces.

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
    /// Where jobs of a project with this setting run.
    pub fn of(compute: Compute) -> Self {
        match compute {
            Compute::Fargate => Self::Fargate,
            Compute::Runners => Self::Runners,
        }
    }
}

/// What is mostly zero is not stored while it is: it would be paid for at every step.
fn is_none_yet<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

/// A job as the table keeps it. At most about 1 KB: it is written at every step, and what a write costs is
/// counted in whole KB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// Its project.
    pub project: ProjectId,
    /// What kind of work.
    pub kind: Kind,
    /// Where it is.
    pub status: Status,
    /// The ticket it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketKey>,
    /// The ended job that it does again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobId>,
    /// The forge of its repository.
    pub integration: IntegrationId,
    /// The forge's id of its repository.
    pub repository: u64,
    /// The branch it makes, if it does not go on with an open pull request.
    pub branch: String,
    /// The ticket's earlier pull request, to go on with if it is still open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
    /// The pull request that it revises, and for which review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revises: Option<Revises>,
    /// While it is Pending: how far reading its review from the forge is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<ContextWait>,
    /// Jobs of one class ask a runner for the same.
    pub class: ClassId,
    /// Where it runs.
    pub place: Place,
    /// What its Fargate task is like, where it has one. Frozen when the job was made.
    #[serde(default, skip_serializing_if = "Task::is_default")]
    pub task: Task,
    /// When it was made.
    pub created: Timestamp,
    /// Since when it has been Ready this time.
    pub ready_since: Timestamp,
    /// How many attempts were claimed.
    pub attempt: u32,
    /// An agent has worked on it: only then its end counts as the ticket's last job.
    pub worked: bool,
    /// How many times a platform fault put it back.
    pub requeues: u32,
    /// An attempt of it was lost that may have pushed, and nobody told what became of that; where it was cancelled, nobody
    /// has looked for it either.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub lost_a_push: bool,
    /// Its attempts only look for what a lost one may have pushed, and adopt it. What the job fails by where nothing
    /// comes of that: the loss. Where this is, `lost_a_push` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopts: Option<Failure>,
    /// Where it has failed, what is known of what a lost attempt may have pushed. None where none was lost so, and where
    /// a later one failed at its own work, which it began because it had found nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<Looked>,
    /// Starting a task for the next attempt.
    pub dispatch: Dispatch,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// What its people want.
    pub want: Want,
    /// Who wants it to end, while that is so and once it has been cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancel>,
    /// Who paused it, while that is wanted or so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// What its agent asked, while nobody has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// How many inputs people gave it.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub inputs: u32,
    /// How many of them an agent of it has heard, as its runners said.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub heard: u32,
    /// What its next attempt can go on with, if an earlier one yielded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// That its agent's model answered nobody, while it waits for that and for as long as it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelWait>,
    /// Until when nobody but its runner may end it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_until: Option<Timestamp>,
    /// What it may use up, frozen when it was made.
    pub policy: Policy,
    /// What it took from its project's budget, and from which day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Reserved>,
    /// What its attempts cost. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub spent_usd_micros: u64,
    /// The hash of its frozen context; empty while that is still being read.
    pub context: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// Who ended it or yielded it last, so that a repeat of that is a repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Failed tries of the sweeper, since its last success.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub tries: u32,
    /// Not to be swept before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Somebody looks at what it does, at least until then. Written past `rev`: whoever looks says it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_until: Option<Timestamp>,
    /// Raised by every write.
    pub rev: u64,
}

/// An earlier pull request to go on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continues {
    /// Its number.
    pub number: u64,
    /// Its head branch.
    pub branch: String,
}

/// The pull request that a job revises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revises {
    /// Its number.
    pub number: u64,
    /// Its head branch.
    pub branch: String,
    /// The commit at its head when the job was made; the work starts from the newest.
    pub head: String,
    /// The newest review or request that the job was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewId>,
}

/// As it may have been stored: when a job remembered the last of its dead tasks only, that one stood alone.
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

/// Starting a Fargate task for the next attempt. A start is only a try: the attempt is counted at the claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// How many deliberate starts there were for this attempt.
    pub number: u32,
    /// When the sweeper looks: to start it if `starting` is off, to start it anew if it is on.
    pub due: Timestamp,
    /// A start was asked for and has not been claimed.
    pub starting: bool,
    /// The task, once ECS named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The tasks of this attempt that died before they claimed, the last of them last: their claims may still be on
    /// the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_several")]
    pub dead: Vec<String>,
    /// Why the last start did not happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<DispatchFault>,
    /// What the start was part of. Kept, because a start that is asked for again must be asked for in the same
    /// words, and the message that asks again is part of something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
}

/// Who holds a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The runner, if it is not a Fargate task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    /// The process.
    pub instance: InstanceId,
    /// The claim, so that repeating it gets the same answer.
    pub claim: ClaimId,
    /// Since when.
    pub started: Timestamp,
    /// The Fargate task; once the job has ended, only its ATTEMPT has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The container died, and why; the runner's own finish may still be on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died: Option<Died>,
}

/// A container that died under a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Died {
    /// When we heard of it.
    pub at: Timestamp,
    /// What it will be called if nothing better is heard.
    pub failure: Failure,
}

/// What a job may use up, frozen when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// From the claim to the end. Units: seconds.
    pub wall_secs: u64,
    /// Without any event from the agent. Units: seconds.
    pub stall_secs: u64,
    /// How often a platform fault may put it back.
    pub requeues: u32,
    /// What a death while the agent works means.
    pub offline: OfflinePolicy,
    /// What one attempt may cost. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd_micros: Option<u64>,
    /// How often one attempt may ask its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// How big the work folder may grow. Units: MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u64>,
    /// How long it may wait for an answer or stay paused. None is a week. Units: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_secs: Option<u64>,
    /// What becomes of one that yielded where its session can't be found again.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub resume: Resume,
    /// Its agent's capability, where its project names secrets for that agent's model: they are looked up when
    /// its runner asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_of: Option<String>,
    /// Its project names a key that signs commits: it is looked up when its runner asks.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub signs: bool,
}

impl Policy {
    /// Whose key its agent asks its model with.
    pub fn key(&self) -> KeyOf {
        if self.model_of.is_some() { KeyOf::Project } else { KeyOf::Runner }
    }

    /// How long it may stand still.
    pub fn rest_at_most(&self) -> Duration {
        self.input_secs.map_or(REST_AT_MOST, Duration::from_secs)
    }
}

/// What a job made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// The branch it pushed.
    pub branch: String,
    /// The commit at its head.
    pub head: String,
    /// The pull request's number.
    pub number: u64,
    /// The pull request's page.
    pub url: String,
    /// Files changed against the base.
    pub files: u32,
    /// Lines added.
    pub insertions: u32,
    /// Lines removed.
    pub deletions: u32,
    /// How the reviewers' threads were answered; none where there were none.
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

    /// The pull request whose reviews it may be told of: the one that it revises or goes on with.
    pub fn reviewed(&self) -> Option<PullRequestId> {
        self.pull_request().or_else(|| self.continues.as_ref().map(|continues| self.numbered(continues.number)))
    }

    fn numbered(&self, number: u64) -> PullRequestId {
        PullRequestId { integration: self.integration.clone(), repository: self.repository, number }
    }
}

impl JobResult {
    /// The pull request by its forge's ids.
    pub fn pull_request(&self, integration: &IntegrationId, repository: u64) -> PullRequestId {
        PullRequestId { integration: integration.clone(), repository, number: self.number }
    }
}

/// Who ended a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedBy {
    /// The attempt.
    pub attempt: u32,
    /// The runner's finish; none when somebody else ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<FinishId>,
}

#[cfg(test)]
mod tests;
