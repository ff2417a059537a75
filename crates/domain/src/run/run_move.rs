//! The move of a run: its writes, and its requests to jobs.

use super::Run;
use super::group::Group;
use crate::text::id::JobId;

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
