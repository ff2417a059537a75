//! A run: one item with the state of every step of a plan, and the pure function that moves it.
//!
//! `next_move` decides the next write from the run, its plan and its open jobs. It is level-triggered: a lost message or
//! a crash after any write only delays the next call, because the run or an ended job is still due.

pub mod dead_letter;
pub mod due;
mod end;
mod explain;
mod facts;
mod frozen;
mod group;
mod next_move;
pub mod notice;
mod orders;
mod place;
mod rules;
mod run_move;
mod spawn;
mod step_context;
mod wait;
pub mod wakeup;

pub use crate::project::plan::SpawnRequest;
pub use explain::{RunFailureCause, StepExplanation, StepWait};
pub use facts::{JobEnd, ReleaseBlock, RunFacts, StepEnd, StepJob};
pub use frozen::{FrozenPlan, StepResult};
pub use group::{Group, GroupFacts, MAX_WAITING_RUNS};
pub use next_move::next_move;
pub use orders::Answer;
pub use run_move::{Move, StepJobPlan};
pub use spawn::{check_spawn, check_spawn_form};
pub use step_context::{MAX_RESULTS_CHARS, NeedResult, PatchSource, StepContext};

use crate::job::JobResult;
use crate::project::plan::{Plan, PlanStep, StepKeys};
use crate::text::code::coded_enum;
use crate::text::id::{JobId, ProjectId, RunId};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

coded_enum! {
    /// A program older than a state cannot parse the run. It then changes nothing, and the run stays due.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum RunState {
        Running = "running";
        Completed = "completed";
        Failed = "failed";
        Cancelled = "cancelled";
    }
}

coded_enum! {
    /// An older program treats an unknown state as `RunState` describes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum StepState {
        #[default]
        Waiting = "waiting";
        /// It has a job.
        Open = "open";
        /// A manager waits for the steps that it added.
        Spawning = "spawning";
        /// A user has to approve or refuse.
        Asked = "asked";
        Done = "done";
        Failed = "failed";
        Cancelled = "cancelled";
        Skipped = "skipped";
    }
}

impl StepState {
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled | Self::Skipped)
    }
}

coded_enum! {
    /// Why a step ended without being done.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub enum StepReason {
        When = "when";
        NeedFailed = "need_failed";
        Stopped = "stopped";
        Refused = "refused";
        /// Settings that changed after the submission refuse its job.
        NotStarted = "not_started";
        JobFailed = "job_failed";
        NoOutcome = "no_outcome";
        JobCancelled = "job_cancelled";
        SpawnInvalid = "spawn_invalid";
        /// A reason of a newer program.
        #[serde(other)]
        Unknown = "unknown";
    }
}

coded_enum! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub enum RunFailure {
        StepFailed = "step_failed";
        TimeLimit = "time_limit";
        CostLimit = "cost_limit";
        PlaceGone = "place_gone";
        /// A failure of a newer program.
        #[serde(other)]
        Unknown = "unknown";
    }
}

/// The state that users want. A level, not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunWant {
    Run,
    Cancel,
}

/// Work that the last write left, which decides when the run is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkLeft {
    /// A step may start once the project is released or has budget.
    Held,
    /// The run waits for a place in its group. An older program starts it without one.
    Group,
    /// Also the value of a newer program.
    #[serde(other)]
    Now,
}

/// A run as the table stores it. Readers ignore unknown fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    pub project: ProjectId,
    /// The plan's name, and the value of its only parameter.
    pub name: String,
    /// Name of the token that started it.
    pub by: String,
    /// Hash of the request, so that a repeat is recognised.
    #[serde(default)]
    pub content: String,
    /// The newest result of a step. Later steps continue its branch and pull request.
    pub result: Option<JobResult>,
    pub created: Timestamp,
    /// Its start or last resume, from which the time limit counts.
    pub since: Timestamp,
    pub group: Option<String>,
    /// The value of `since` for which it got its place in the group. After a resume it needs another one.
    pub placed: Option<Timestamp>,
    pub state: RunState,
    pub failure: Option<RunFailure>,
    pub want: RunWant,
    /// Name of the user of the last cancel or resume.
    pub ordered_by: Option<String>,
    pub wall_secs: u64,
    pub cost_usd_micros: Option<u64>,
    /// Cost of all ended jobs.
    #[serde(default)]
    pub spent_usd_micros: u64,
    pub steps: Vec<RunStep>,
    pub left: Option<WorkLeft>,
    /// Time of the last move or order.
    pub moved: Timestamp,
    pub ended_at: Option<Timestamp>,
    #[serde(default)]
    pub rev: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStep {
    /// The plan's name, or `manager/name` of an added step.
    pub name: String,
    pub state: StepState,
    /// Time of the last change of state.
    pub at: Timestamp,
    /// Number of its jobs, which also numbers the newest.
    #[serde(default)]
    pub jobs: u32,
    /// Retries since the run's start or last resume.
    #[serde(default)]
    pub retries: u32,
    /// Turns of a manager before this one.
    #[serde(default)]
    pub turn: u32,
    /// The newest job.
    pub job: Option<JobId>,
    /// Start of the newest job, or of the question.
    pub started: Option<Timestamp>,
    /// Cost of its ended jobs.
    #[serde(default)]
    pub spent_usd_micros: u64,
    /// Cost that the open job may reach.
    #[serde(default)]
    pub reserved_usd_micros: u64,
    pub outcome: Option<String>,
    pub reason: Option<StepReason>,
    /// Name of the user who answered its question.
    pub by: Option<String>,
    #[serde(default)]
    pub allow_failure: bool,
    /// The first fault of the steps that a manager wanted to add.
    pub fault: Option<String>,
    pub spawned: Option<SpawnedStep>,
    /// URL of the pull request that a user opened for its own branch. The result of `job` has the rest.
    pub pull_request: Option<String>,
}

/// A step that a manager added. Its prompt is in the output of `job`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnedStep {
    pub by: String,
    pub turn: u32,
    pub job: JobId,
    pub role: String,
    /// Full names of steps of the same turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    pub cost_usd_micros: Option<u64>,
}

impl RunStep {
    fn new(name: String, now: Timestamp) -> Self {
        Self { name, at: now, ..Self::default() }
    }

    fn change(&mut self, state: StepState, reason: Option<StepReason>, now: Timestamp) {
        (self.state, self.reason, self.by, self.fault, self.at) = (state, reason, None, None, now);
    }

    /// The keys of its job. An added step cannot add steps, even if `defaults` allows it.
    pub fn resolve(&self, plan: &Plan, step: &PlanStep) -> StepKeys {
        let keys = plan.resolve(step);
        let spawn = keys.spawn.clone().filter(|_| self.spawned.is_none());
        StepKeys { spawn, ..keys }
    }

    /// The keys of its jobs, without those that a manager chose.
    pub fn keys(&self, plan: &Plan) -> StepKeys {
        match &self.spawned {
            Some(spawned) => plan.resolve_spawned(&plan.find_role(&spawned.role).unwrap_or_default()),
            None => plan.find_step(&self.name).map(|step| plan.resolve(step)).unwrap_or_default(),
        }
    }

    fn is_added_by(&self, manager: &Self) -> bool {
        self.spawned.as_ref().is_some_and(|spawned| spawned.by == manager.name && spawned.turn == manager.turn)
    }
}

impl Run {
    pub fn new(id: RunId, project: ProjectId, plan: &Plan, by: String, now: Timestamp) -> Self {
        let step = |step: &PlanStep| {
            let allow_failure = plan.resolve(step).allow_failure.unwrap_or_default();
            RunStep { allow_failure, ..RunStep::new(step.name.clone(), now) }
        };
        Self {
            id,
            project,
            name: plan.name.clone(),
            by,
            content: String::new(),
            result: None,
            created: now,
            since: now,
            group: plan.concurrency.as_ref().map(|concurrency| concurrency.group.clone()),
            placed: None,
            state: RunState::Running,
            failure: None,
            want: RunWant::Run,
            ordered_by: None,
            wall_secs: plan.wall_limit().as_secs(),
            cost_usd_micros: plan.cost_limit_usd_micros(),
            spent_usd_micros: 0,
            steps: plan.steps.iter().map(step).collect(),
            left: Some(WorkLeft::Now),
            moved: now,
            ended_at: None,
            rev: 0,
        }
    }

    pub fn find_step(&self, name: &str) -> Option<&RunStep> {
        self.steps.iter().find(|step| step.name == name)
    }

    pub fn open_jobs(&self) -> impl Iterator<Item = &JobId> {
        let open = self.steps.iter().filter(|step| step.state == StepState::Open);
        open.filter_map(|step| step.job.as_ref())
    }

    /// The steps that ask a user, unless the run is being cancelled. Also of a run that is about to end otherwise.
    pub fn asked_steps(&self) -> impl Iterator<Item = &RunStep> {
        let is_wanted = self.state == RunState::Running && self.want == RunWant::Run;
        self.steps.iter().filter(move |step| is_wanted && step.state == StepState::Asked)
    }

    /// Whether a cancel came before the run completed.
    pub fn is_cancelled(&self) -> bool {
        self.want == RunWant::Cancel && self.state != RunState::Completed
    }

    pub fn wall_end(&self) -> Timestamp {
        self.since.plus(Duration::from_secs(self.wall_secs))
    }

    /// The part of the cost limit that no open job may use; `None` without a limit.
    pub fn free_usd_micros(&self) -> Option<u64> {
        let reserved = self.steps.iter().map(|step| step.reserved_usd_micros).fold(0, u64::saturating_add);
        self.cost_usd_micros.map(|limit| limit.saturating_sub(self.spent_usd_micros.saturating_add(reserved)))
    }

    fn is_ending(&self, now: Timestamp) -> bool {
        self.want == RunWant::Cancel || now >= self.wall_end()
    }
}

#[cfg(test)]
mod tests;
