//! The answer to an event or a request that may create a job.

use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, JobId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub delivery: DeliveryId,
    pub reason: Reason,
    pub job: Option<JobId>,
}

/// The job that a decision created, or that prevented another one.
pub(crate) fn named_job(reason: &Reason) -> Option<JobId> {
    match reason {
        Reason::Accepted { job } | Reason::JobActive { job, .. } | Reason::HeldForJob { job } => Some(job.clone()),
        _ => None,
    }
}
