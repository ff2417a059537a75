//! Returns a job to Ready after a platform fault.

use super::claim::RunnerCondition;
use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};
use pullyard_domain::job::{AttemptRecord, Job};

impl Store {
    /// Requeues a job. Its ticket stays locked, because the job has not ended.
    /// Writes: JOB if `rev` is the one seen; ATTEMPT if absent; RUNNER one slot less, if the proof holds.
    /// Idempotent: a repeat is `Stale`, and reading again shows the job Ready.
    pub async fn requeue_job(
        &self,
        before: &Job,
        job: &Job,
        attempt: &AttemptRecord,
        proof: RunnerCondition,
    ) -> Result<Write, Error> {
        Transaction::new("requeue a job")
            .revise(job)?
            .put(attempt, Condition::absent())?
            .free_slot(before, proof)
            .commit(self)
            .await
    }
}
