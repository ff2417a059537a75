//! What is remembered of a job's process.

use pullyard_domain::id::{ClaimId, JobId};
use serde::{Deserialize, Serialize};

pub(crate) type Key = (JobId, u32);

/// What is remembered of a process on disk. No secret: the bootstrap token is only in its environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) claim_id: ClaimId,
    /// Absent when we died between the start and its record.
    pub(crate) pid: Option<i32>,
    /// When the process began, as the kernel tells it; with the number it names one process.
    pub(crate) began: Option<String>,
}

impl Record {
    pub(crate) fn key(&self) -> Key {
        (self.job.clone(), self.attempt)
    }
}
