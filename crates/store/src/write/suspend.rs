//! Suspends and resumes jobs: pause, continue, answer, and the yield of a runner.

use super::claim::RunnerCondition;
use crate::transaction::Transaction;
use crate::{Error, Store, Write};
use pullyard_domain::job::{AttemptRecord, Input, Job};
use pullyard_domain::ticket::Ticket;

#[derive(Clone, Debug)]
pub struct SuspensionWrite<'a> {
    pub before: &'a Job,
    pub job: &'a Job,
    pub attempt: Option<&'a AttemptRecord>,
    /// Its ticket, if its display changes.
    pub ticket: Option<&'a Ticket>,
    /// The user's message to the agent, if that is the cause.
    pub input: Option<&'a Input>,
    pub proof: RunnerCondition,
}

impl Store {
    /// Stores that a job is suspended, is resumed, or received an input.
    /// Writes: JOB and TICKET if `rev` is the one seen; ATTEMPT and INPUT if absent (their numbers are never used
    /// again); RUNNER one slot less, if its runner no longer holds the job and the proof holds. All or nothing: no
    /// answer is stored for a job that still waits for it, and a suspended job has no slot.
    /// Idempotent: a yield by its id, an input by its key, through the domain and the use case.
    pub async fn write_suspension(&self, rested: &SuspensionWrite<'_>) -> Result<Write, Error> {
        let transaction = Transaction::new("suspend or resume a job")
            .revise(rested.job)?
            .create_some(rested.attempt)?
            .revise_some(rested.ticket)?
            .create_some(rested.input)?;
        match rested.job.run {
            Some(_) => transaction,
            None => transaction.free_slot(rested.before, rested.proof),
        }
        .commit(self)
        .await
    }
}
