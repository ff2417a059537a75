//! Writes reviews: a review gets a job, waits, is absorbed, or is refused.
//! Each write requires that the review is `deferred` or unknown, so that no review belongs to two jobs.

use crate::item::encode_part;
use crate::key::{self, Key};
use crate::transaction::{Condition, Transaction, number_value, string_value};
use crate::write::ledger::unless_final;
use crate::{Error, Store, Write};
use pullyard_domain::job::Job;
use pullyard_domain::project::budget::Charge;
use pullyard_domain::project::spending::Spending;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::review::{Review, ReviewState};
use pullyard_domain::text::id::{JobId, ReviewId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;

#[derive(Clone, Debug)]
pub struct ReviewTrigger<'a> {
    pub job: &'a Job,
    pub ticket: &'a Ticket,
    pub pull_request: &'a PullRequest,
    pub review: &'a Review,
    /// The decision, if it is made now. `None` for a review that waited.
    pub delivery: Option<&'a Delivery>,
    pub charge: Option<&'a Charge>,
    /// The spending that the job counts in, at the revision that was read.
    pub spending: Option<&'a Spending>,
}

#[derive(Clone, Copy, Debug)]
pub struct ReviewWait<'a> {
    /// The waiting review, one version later than it was read.
    pub review: &'a Review,
    pub from: Option<&'a JobId>,
    /// Its ledger entry, if that changes.
    pub delivery: Option<&'a Delivery>,
    pub job: &'a JobId,
    pub opens_at: Timestamp,
}

impl Store {
    /// Creates the job of a review.
    /// Writes: JOB if absent; TICKET, PR and SPENT if `rev` is the one seen; REVIEW if absent or refused before, or `deferred`
    /// if it waited; DELIVERY if absent or not final; BUDGET if the day has enough left. The two revs prove all facts
    /// of the decision except the settings; REVIEW proves that it has no job yet.
    /// Idempotent: by the job's id. A repeat is `Stale`, and reading again shows the job.
    pub async fn create_review_job(&self, trigger: &ReviewTrigger<'_>) -> Result<Write, Error> {
        let condition = if trigger.delivery.is_some() { absent_or_refused_condition() } else { deferred_condition() };
        Transaction::new("create the job of a review")
            .revise(trigger.job)?
            .revise(trigger.ticket)?
            .revise(trigger.pull_request)?
            .put(trigger.review, condition)?
            .record_some(trigger.delivery)?
            .charge(trigger.charge)
            .revise_some(trigger.spending)?
            .commit(self)
            .await
    }

    /// Stores a waiting review with its ledger entry and its ticket's mark, without which it would be forgotten.
    /// Writes: REVIEW if absent, or refused in the version before; DELIVERY if absent or not final; TICKET if `rev` is
    /// the one seen. `rev` rises, so that a settlement that did not see this review fails. `Stale` if the review waits
    /// or has its job, or the ticket changed.
    pub async fn create_deferred_review(
        &self,
        review: &Review,
        delivery: &Delivery,
        marked: &Ticket,
    ) -> Result<Write, Error> {
        Transaction::new("remember a review")
            .put(review, absent_or_refused_before(review))?
            .put(delivery, unless_final())?
            .revise(marked)?
            .commit(self)
            .await
    }

    /// Adds a review to an existing job, if it does not wait, or moves it from an ended job.
    /// Writes: REVIEW if absent, or refused in the version before; with `from`, if it is that job's. `Stale` if it
    /// waits, has its job, or has another one.
    pub async fn assign_review(&self, review: &Review, from: Option<&JobId>) -> Result<Write, Error> {
        Transaction::new("add a review to a job")
            .put(review, owned_or_absent_condition(review, from))?
            .commit(self)
            .await
    }

    /// Makes a review wait for its ticket's job, which does not know it, and marks the ticket. The end of the job
    /// settles it. One transaction: a job that ends in between would remove a mark without a review, or forget a review
    /// without a mark.
    /// Writes: REVIEW as [`Self::assign_review`]; DELIVERY, if given, if absent or not final; TICKET if `active_job` is
    /// that job and it has a map of marks. Not over `rev`, so that many reviews at once do not compete. `rev` rises, so
    /// that a settlement that did not see this review fails. The ticket's row stays: the end of an active job settles
    /// what waits. `Stale` if the review was sent again, or the job has ended.
    pub async fn wait_for_job(&self, wait: &ReviewWait<'_>) -> Result<Write, Error> {
        let ReviewWait { review, from, delivery, job, opens_at } = *wait;
        let ticket = key::ticket(&review.project, &review.ticket);
        Transaction::new("defer a review")
            .put(review, owned_or_absent_condition(review, from))?
            .mark_for_job(ticket, &review.pull_request, job, opens_at)
            .record_some(delivery)?
            .commit(self)
            .await
    }

    /// Writes: each older REVIEW from `deferred` to `absorbed`, and `version` of the newest, if it still waits. If it
    /// already had its job, the absorbed reviews would be in no job.
    pub async fn absorb_reviews(
        &self,
        pull_request: &PullRequestId,
        into: &ReviewId,
        older: &[ReviewId],
    ) -> Result<Write, Error> {
        let state = ReviewState::Absorbed { into: into.clone() };
        let newest = deferred_condition().name("#version", "version").value(":one", number_value(1));
        let mut transaction = Transaction::new("absorb reviews").update(
            key::review(pull_request, into),
            "#version = #version + :one",
            "",
            newest,
        );
        for review in older {
            let key = key::review(pull_request, review);
            let condition = deferred_condition().value(":state", encode_part(&key, &state)?);
            transaction = transaction.update(key, "#state = :state", "", condition);
        }
        transaction.commit(self).await
    }

    /// Refuses the reviews that depend on a waiting review.
    /// Writes: each of the others from `deferred` or `absorbed` to `refused`, in the version that was read, if the
    /// newest still waits. If it already had its job, that job would cover them.
    pub async fn refuse_absorbed_reviews(
        &self,
        newest: &Review,
        others: &[&Review],
        state: &ReviewState,
    ) -> Result<Write, Error> {
        // An update of only the mark acts as a condition check, and is recognised when its answer is lost.
        let mut transaction = Transaction::new("refuse reviews that were absorbed").update(
            key::review(&newest.pull_request, &newest.id),
            "",
            "",
            deferred_at_version(newest),
        );
        for review in others {
            let key = key::review(&newest.pull_request, &review.id);
            let condition = at_version("#state.#is IN (:deferred, :absorbed)", review.version)
                .value(":deferred", string_value("deferred"))
                .value(":absorbed", string_value("absorbed"))
                .value(":state", encode_part(&key, state)?);
            transaction = transaction.update(key, "#state = :state", "", condition);
        }
        transaction.commit(self).await
    }

    /// Refuses a waiting review.
    /// Writes: REVIEW from `deferred` to `refused`, in the version that was read. Otherwise reviews that it absorbed
    /// since, or its later changes, would get this answer too.
    /// Idempotent: a repeat is `Stale`, because the review no longer waits.
    pub async fn refuse_review(&self, review: &Review, state: &ReviewState) -> Result<Write, Error> {
        let key = key::review(&review.pull_request, &review.id);
        let condition = deferred_at_version(review).value(":state", encode_part(&key, state)?);
        Transaction::new("refuse a deferred review").update(key, "#state = :state", "", condition).commit(self).await
    }

    /// Writes: PR if `rev` is the one seen (absent if new).
    pub async fn update_pull_request(&self, pull_request: &PullRequest) -> Result<Write, Error> {
        Transaction::new("change a pull request").revise(pull_request)?.commit(self).await
    }

    /// Links a pull request and shows it on its ticket.
    /// Writes: PR and TICKET if `rev` is the one seen.
    pub async fn link_pull_request(&self, pull_request: &PullRequest, ticket: &Ticket) -> Result<Write, Error> {
        Transaction::new("link a pull request").revise(pull_request)?.revise(ticket)?.commit(self).await
    }
}

impl Transaction {
    /// Marks a ticket: reviews wait for its job to end.
    fn mark_for_job(self, ticket: Key, pull_request: &PullRequestId, job: &JobId, opens_at: Timestamp) -> Self {
        let condition = Condition::new("active_job = :job AND attribute_exists(#deferred)")
            // A reserved word of DynamoDB.
            .name("#deferred", "deferred")
            .name("#pr", &pull_request.to_string())
            .value(":job", string_value(job.as_str()))
            .value(":at", number_value(opens_at.millis()))
            .value(":one", number_value(1));
        let sets = "#deferred.#pr = if_not_exists(#deferred.#pr, :at), rev = rev + :one";
        self.update(ticket, sets, "", condition)
    }
}

/// The review is unknown, or was refused: a user may have fixed the cause and sent it again.
fn absent_or_refused_condition() -> Condition {
    Condition::new("attribute_not_exists(pk) OR #state.#is = :refused")
        .name("#state", "state")
        .name("#is", "is")
        .value(":refused", string_value("refused"))
}

/// The review is unknown, or was refused in the version before this one.
fn absent_or_refused_before(review: &Review) -> Condition {
    match review.version.checked_sub(1) {
        None => Condition::absent(),
        Some(before) => at_version("#state.#is = :refused", before).value(":refused", string_value("refused")),
    }
}

/// The review belongs to that job. Without a job, it is unknown or was refused.
fn owned_or_absent_condition(review: &Review, from: Option<&JobId>) -> Condition {
    match from {
        None => absent_or_refused_before(review),
        Some(job) => Condition::new("#state.#job = :from")
            .name("#state", "state")
            .name("#job", "job")
            .value(":from", string_value(job.as_str())),
    }
}

fn deferred_condition() -> Condition {
    Condition::new("#state.#is = :deferred")
        .name("#state", "state")
        .name("#is", "is")
        .value(":deferred", string_value("deferred"))
}

/// The review still waits in the version that was read: it absorbed no other, and was not refused and stored again.
fn deferred_at_version(review: &Review) -> Condition {
    at_version("#state.#is = :deferred", review.version).value(":deferred", string_value("deferred"))
}

fn at_version(state: &str, version: u32) -> Condition {
    Condition::new(&format!("{state} AND #version = :version"))
        .name("#state", "state")
        .name("#is", "is")
        .name("#version", "version")
        .value(":version", number_value(version))
}
