//! The facts from which a run moves, and the move.

use super::Run;
use super::group::{Group, GroupFacts};
use crate::project::plan::{Plan, SpawnRequest};
use crate::text::failure::FailureClass;
use crate::text::id::JobId;
use crate::text::time::Timestamp;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct RunFacts<'a> {
    pub plan: &'a Plan,
    /// The jobs of all open steps. A job that is not listed is lost, and its step fails.
    pub jobs: BTreeMap<JobId, StepJob>,
    pub block: Option<ReleaseBlock>,
    /// `Some` for a plan with `concurrency`.
    pub group: Option<GroupFacts>,
    /// Jobs that fit into the day's budget.
    pub room: usize,
    pub now: Timestamp,
}

/// Why the project may start no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReleaseBlock {
    Held,
    Budget,
}

/// Requests to jobs, then one transaction: store `run` and `group`, mark the jobs in `noted`, and create those in
/// `created`.
///
/// The requests come first, because the stored run is no longer due for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub run: Run,
    pub noted: Vec<JobId>,
    pub created: Vec<StepJobPlan>,
    /// The end of these jobs is requested. A repeat changes nothing.
    pub cancelled: Vec<JobId>,
    /// `Some` if it changes.
    pub group: Option<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepJobPlan {
    pub id: JobId,
    pub step: String,
    pub turn: u32,
    /// The job of the step before this one.
    pub previous: Option<JobId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepJob {
    Open { is_cancelled: bool },
    Ended(StepEnd),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepEnd {
    pub end: JobEnd,
    pub spent_usd_micros: u64,
    /// From the agent's output.
    pub outcome: Option<String>,
    pub spawn: Vec<SpawnRequest>,
    /// Why the project does not allow these steps.
    pub spawn_fault: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    Completed,
    Failed(FailureClass),
    Cancelled,
}
