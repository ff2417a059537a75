//! A checkpoint of an earlier attempt, unpacked in this attempt's folder.

use super::content::{CheckpointMetadata, FinishedWork};
use super::loss::SessionLoss;
use super::state::CarriedCheckpoint;
use crate::attempt::Attempt;
use crate::git::target::Target;
use std::path::PathBuf;

pub(crate) struct AvailableCheckpoint {
    pub(crate) metadata: CheckpointMetadata,
    pub(crate) folder: PathBuf,
    pub(super) attempt: u32,
    /// Only its publication is left to do.
    pub(super) finished: Option<FinishedWork>,
    /// Why the session cannot be resumed, although the work can be used.
    pub(super) session_loss: Option<SessionLoss>,
}

impl AvailableCheckpoint {
    /// Makes it the checkpoint of this attempt as well, in case the publication fails again.
    pub(crate) fn carry(&self, attempt: &Attempt<'_>, target: &Target) {
        let job = target.adopted_job.as_ref().unwrap_or(&attempt.assignment.job);
        let metadata = CheckpointMetadata {
            job: Some(job.clone()),
            start: self.metadata.start.clone(),
            branch: target.branch.clone(),
            ..self.metadata.clone()
        };
        attempt.checkpoint_state.carry(CarriedCheckpoint { folder: self.folder.clone(), metadata });
        attempt.events.log(format!("Publishing the finished work of attempt {} without an agent.", self.attempt));
    }
}
