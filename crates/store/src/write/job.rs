//! The plain writes of a job: a start, a phase, a death, a back-off.

use crate::transaction::{Condition, Transaction, number};
use crate::{Error, Store, WorkKey, Write, key};
use pullyard_domain::id::JobId;
use pullyard_domain::job::Job;
use pullyard_domain::pull_request::PullRequest;
use pullyard_domain::time::Timestamp;

impl Store {
    /// Replaces a job by what the domain made of it.
    ///
    /// Writes: JOB if `rev` is the one seen. The domain checked attempt, claim and status on that very
    /// revision, so the revision proves them.
    /// Idempotent: through the domain; a repeat reads the job again and finds it done.
    pub async fn update_job(&self, job: &Job) -> Result<Write, Error> {
        Transaction::new("change a job").revise(job)?.commit(self).await
    }

    /// Wants a job to end whose pull request can't change any more, and notes that of it: whoever dies leaves both or
    /// neither, since nobody looks at a closed pull request again.
    ///
    /// Writes: JOB and PR if `rev` is the one seen.
    /// Idempotent: through the domain; a repeat is `Stale`, and reading again shows both.
    pub async fn call_off(&self, job: &Job, pull_request: &PullRequest) -> Result<Write, Error> {
        Transaction::new("call a job off").revise(job)?.revise(pull_request)?.commit(self).await
    }
}

impl Store {
    /// Notes that somebody looks at a job.
    ///
    /// Writes: `watched_until` of JOB, if it is there and is not noted for as long already. Not over `rev`: it
    /// decides nothing, a write that did not see it puts it back to what it was, and it is said again soon.
    /// Idempotent: the same look again is stale.
    pub async fn note_watched(&self, job: &JobId, until: Timestamp) -> Result<Write, Error> {
        let condition = "attribute_exists(pk) AND (attribute_not_exists(watched_until) OR watched_until < :until)";
        let condition = Condition::of(condition).value(":until", number(until.millis()));
        Transaction::new("note that a job is looked at")
            .update(key::job(job), "watched_until = :until", "", condition)
            .commit(self)
            .await
    }

    /// Moves the row of an item that can't be read further back, so that it does not stand in the way of
    /// the others. The one write that does not know the item it changes.
    ///
    /// Writes: `ws` of the item, if it has a row.
    pub async fn put_row_off(&self, key: &WorkKey, until: Timestamp) -> Result<Write, Error> {
        let key = match key {
            WorkKey::Job(job) => key::job(job),
            WorkKey::Ticket(project, ticket) => key::ticket(project, ticket),
            WorkKey::PullRequest(id) => key::pull_request(id),
            WorkKey::Poll(project, integration, repository) => key::poll(project, integration, *repository),
        };
        let condition = Condition::of("attribute_exists(wk)").value(":until", number(until.millis()));
        Transaction::new("put off an item that can't be read")
            .update(key, "ws = :until", "", condition)
            .commit(self)
            .await
    }
}
