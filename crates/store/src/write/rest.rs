//! A job that has not ended stands still or goes on: pause, continue, answer, and what its runner gives back.

use super::claim::{Proof, free_slot};
use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};
use pullyard_domain::job::{Attempt, Input, Job};
use pullyard_domain::ticket::Ticket;

/// What is written when a job stands still or goes on.
#[derive(Clone, Debug)]
pub struct Rested<'a> {
    /// The job as it was read.
    pub before: &'a Job,
    /// The job as it stands still or goes on.
    pub job: &'a Job,
    pub attempt: Option<&'a Attempt>,
    /// Its ticket, if that is to show something else now.
    pub ticket: Option<&'a Ticket>,
    /// What a person said to its agent, if that is why.
    pub input: Option<&'a Input>,
    pub proof: Proof,
}

impl Store {
    /// Writes that a job stands still, goes on, or was told something.
    ///
    /// Writes: JOB and TICKET if `rev` is the one seen; ATTEMPT and INPUT if absent (their numbers are never used
    /// again); RUNNER one slot less, if a runner held it, does not any more, and the proof holds. All or nothing: an
    /// answer is never stored beside a job that goes on waiting for it, and what stands still holds no slot.
    /// Idempotent: a yield by its id, an input by its key, through the domain and the use case.
    pub async fn rest(&self, rested: &Rested<'_>) -> Result<Write, Error> {
        let mut transaction = Transaction::new("let a job rest or go on").revise(rested.job)?;
        if let Some(attempt) = rested.attempt {
            transaction = transaction.put(attempt, Condition::absent())?;
        }
        if let Some(ticket) = rested.ticket {
            transaction = transaction.revise(ticket)?;
        }
        if let Some(input) = rested.input {
            transaction = transaction.put(input, Condition::absent())?;
        }
        if rested.job.run.is_none() {
            transaction = free_slot(transaction, rested.before, rested.proof);
        }
        transaction.commit(self).await
    }
}
