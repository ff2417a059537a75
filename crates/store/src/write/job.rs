//! The plain writes of a job: a start, a phase, a death, a back-off.

use crate::transaction::Transaction;
use crate::{Error, Store, Write};
use pullyard_domain::job::Job;

impl Store {
    /// Replaces a job by what the domain made of it.
    ///
    /// Writes: JOB if `rev` is the one seen. The domain checked attempt, claim and status on that very
    /// revision, so the revision proves them.
    /// Idempotent: through the domain; a repeat reads the job again and finds it done.
    pub async fn update_job(&self, job: &Job) -> Result<Write, Error> {
        Transaction::new("change a job").revise(job)?.commit(self).await
    }
}
