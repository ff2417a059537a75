//! Writes a job after its creation: changes, end, artifacts, late results and viewers. `claim.rs` writes its claim.

use super::claim::RunnerCondition;
use crate::item::encode_part;
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, Store, WorkKey, Write, key};
use pullyard_domain::job::artifact::Artifacts;
use pullyard_domain::job::{AttemptRecord, Input, Job, JobResult};
use pullyard_domain::project::budget::Refund;
use pullyard_domain::project::spending::Spending;
use pullyard_domain::review::analysis::Analysis;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::review::pull_request::PullRequest;
use pullyard_domain::run::notice::Notice;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;

/// A job that ended, was requeued, suspended or resumed, or received an input, with the items that change with it.
#[derive(Clone, Copy, Debug)]
pub struct JobWrite<'a> {
    pub before: &'a Job,
    pub job: &'a Job,
    /// The attempt, if it ended.
    pub attempt: Option<&'a AttemptRecord>,
    /// The output of a job that ended with one.
    pub output: Option<&'a JobOutput>,
    /// The ticket, if its state or display changes.
    pub ticket: Option<&'a Ticket>,
    pub pull_request: Option<&'a PullRequest>,
    pub analysis: Option<&'a Analysis>,
    /// The refund to its project's budget, if that day's item still exists.
    pub refund: Option<&'a Refund>,
    /// The spending that the job counted in, if it ended.
    pub spending: Option<&'a Spending>,
    /// The user's message to the agent, if that is the cause.
    pub input: Option<&'a Input>,
    /// The notice of the new state, if an endpoint subscribes to it.
    pub notice: Option<&'a Notice>,
    /// Condition on the runner that loses the job.
    pub runner: RunnerCondition,
}

impl Store {
    /// Replaces a job by the state that the domain computed.
    /// Writes: JOB if `rev` is the one seen; this proves attempt, claim and status, which the domain checked on it.
    /// Idempotent: through the domain; a repeat reads the job again and finds it done.
    pub async fn update_job(&self, job: &Job) -> Result<Write, Error> {
        Transaction::new("change a job").revise(job)?.commit(self).await
    }

    /// Writes: JOB, TICKET, PR, ANALYSIS and SPENT if `rev` is the one seen; ATTEMPT, OUTPUT, INPUT and NOTICE if absent (a
    /// job has one output, and numbers are never used again); BUDGET if it exists; RUNNER one slot less, if the job has
    /// no runner any more and the proof holds.
    /// All or nothing: an ended job locks no ticket, its reservation returns once, and no answer is stored for a job
    /// that still waits for it.
    /// Idempotent: by the id of a finish or yield and by the key of an input, through the domain and the use case. A
    /// repeat is `Stale`.
    pub async fn write_job(&self, write: &JobWrite<'_>) -> Result<Write, Error> {
        let transaction = Transaction::new("end, requeue, suspend or resume a job")
            .revise(write.job)?
            .create_some(write.attempt)?
            .create_output(write.job, write.output)?
            .revise_some(write.ticket)?
            .revise_some(write.pull_request)?
            .revise_some(write.analysis)?
            .refund(write.refund)
            .revise_some(write.spending)?
            .create_some(write.input)?
            .revise_some(write.notice)?;
        match write.job.status.is_active() {
            true => transaction,
            false => transaction.free_slot(write.before, write.runner),
        }
        .commit(self)
        .await
    }

    /// Requests the end of a job whose pull request can no longer change, records that on the pull request, and moves the
    /// ticket if it changes. One transaction, because a closed pull request is never checked again.
    /// Writes: JOB, PR and TICKET if `rev` is the one seen.
    /// Idempotent: through the domain; a repeat is `Stale`, and reading again shows both.
    pub async fn request_cancel(
        &self,
        job: &Job,
        pull_request: &PullRequest,
        ticket: Option<&Ticket>,
    ) -> Result<Write, Error> {
        let transaction = Transaction::new("cancel a job").revise(job)?.revise(pull_request)?;
        transaction.revise_some(ticket)?.commit(self).await
    }

    /// Writes: ARTIFACTS if `rev` is the one seen (absent if new).
    /// Idempotent: through the domain; a repeat reads again and finds its entry.
    pub async fn put_artifacts(&self, artifacts: &Artifacts) -> Result<Write, Error> {
        Transaction::new("store an artifact").revise(artifacts)?.commit(self).await
    }

    /// Stores a result that arrives after its attempt was lost. The job does not change.
    /// Writes: `late_result` of ATTEMPT, if it exists.
    /// Idempotent: a repeat stores the same value.
    pub async fn update_late_result(&self, job: &JobId, attempt: u32, result: &JobResult) -> Result<Write, Error> {
        let key = key::attempt(job, attempt);
        let condition = Condition::new("attribute_exists(pk)").value(":result", encode_part(&key, result)?);
        Transaction::new("note a late result").update(key, "late_result = :result", "", condition).commit(self).await
    }

    /// Links the pull request of a late result.
    /// Writes: PR if absent, as its first revision. Without a link, every later review would be refused.
    pub async fn link_if_absent(&self, pull_request: &PullRequest) -> Result<Write, Error> {
        let unseen = PullRequest { rev: 0, ..pull_request.clone() };
        Transaction::new("link a pull request").revise(&unseen)?.commit(self).await
    }

    /// Writes: `watched_until` of JOB, if the job exists and the stored time is earlier. Not over `rev`: the note
    /// decides nothing, another write may reset it, and it is repeated soon.
    /// Idempotent: a repeat is `Stale`.
    pub async fn update_watched_until(&self, job: &JobId, until: Timestamp) -> Result<Write, Error> {
        let condition = "attribute_exists(pk) AND (attribute_not_exists(watched_until) OR watched_until < :until)";
        let condition = Condition::new(condition).value(":until", number_value(until.millis()));
        Transaction::new("record a viewer of a job")
            .update(key::job(job), "watched_until = :until", "", condition)
            .commit(self)
            .await
    }

    /// Postpones the row of an item that cannot be read, so that it does not block the others.
    /// Writes: `ws` of the item, if it has a row.
    pub async fn postpone_row(&self, key: &WorkKey, until: Timestamp) -> Result<Write, Error> {
        let condition = Condition::new("attribute_exists(wk)").value(":until", number_value(until.millis()));
        Transaction::new("postpone an item that can't be read")
            .update(key.item(), "ws = :until", "", condition)
            .commit(self)
            .await
    }
}
