//! Writes the end of a job.

use super::claim::RunnerCondition;
use crate::transaction::Transaction;
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
        Transaction::new("end a job")
            .revise(ended.job)?
            .create_some(ended.attempt)?
            .revise_some(ended.ticket)?
            .revise_some(ended.pull_request)?
            .refund(ended.refund)
            .free_slot(ended.before, ended.runner)
            .commit(self)
            .await
    }
}
