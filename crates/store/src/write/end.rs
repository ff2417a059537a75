//! Writes the end of a job.

use super::budget::refund;
use super::claim::{RunnerCondition, free_slot};
use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};
use pullyard_domain::budget::Refund;
use pullyard_domain::job::{AttemptRecord, Job};
use pullyard_domain::pull_request::PullRequest;
use pullyard_domain::ticket::Ticket;

#[derive(Clone, Debug)]
pub struct JobEnd<'a> {
    pub before: &'a Job,
    pub job: &'a Job,
    pub attempt: Option<&'a AttemptRecord>,
    pub ticket: Option<&'a Ticket>,
    pub pull_request: Option<&'a PullRequest>,
    /// The refund to its project's budget, if that day's item still exists.
    pub refund: Option<&'a Refund>,
    pub runner: RunnerCondition,
}

impl Store {
    /// Writes: JOB, TICKET and PR if `rev` is the one seen; ATTEMPT if absent (its number is never used again); BUDGET
    /// if it exists; RUNNER one slot less, if the proof holds. All or nothing: an ended job locks no ticket, and its
    /// reservation returns once.
    /// Idempotent: by the finish's id, through the domain.
    pub async fn end_job(&self, ended: &JobEnd<'_>) -> Result<Write, Error> {
        let mut transaction = Transaction::new("end a job").revise(ended.job)?;
        if let Some(attempt) = ended.attempt {
            transaction = transaction.put(attempt, Condition::absent())?;
        }
        if let Some(ticket) = ended.ticket {
            transaction = transaction.revise(ticket)?;
        }
        if let Some(pull_request) = ended.pull_request {
            transaction = transaction.revise(pull_request)?;
        }
        if let Some(returned) = ended.refund {
            transaction = refund(transaction, returned);
        }
        free_slot(transaction, ended.before, ended.runner).commit(self).await
    }
}
