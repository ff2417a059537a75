//! The facts from which a run moves.

use super::group::GroupFacts;
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
