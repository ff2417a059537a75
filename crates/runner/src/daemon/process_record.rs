//! The stored record of a job's process.

use pullyard_domain::text::id::{ClaimId, JobId};
use serde::{Deserialize, Serialize};

pub(crate) type AttemptKey = (JobId, u32);

/// Contains no secret: the bootstrap token is only in the process's environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRecord {
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) claim_id: ClaimId,
    /// `None` if the daemon died between the start and this record.
    pub(crate) pid: Option<i32>,
    /// When the process began, as the kernel reports it. With the id it identifies one process.
    pub(crate) began: Option<String>,
}

impl ProcessRecord {
    pub(crate) fn key(&self) -> AttemptKey {
        (self.job.clone(), self.attempt)
    }
}
