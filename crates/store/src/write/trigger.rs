//! A job comes into being: with its ticket's lock and its ledger entry, or not at all.

use crate::item::Attributes;
use crate::key;
use crate::schema::EXPIRES;
use crate::transaction::{Condition, Transaction, number, text};
use crate::write::budget;
use crate::write::ledger::unless_final;
use crate::{Error, Store, Write};
use pullyard_domain::budget::Charge;
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{EventId, JobId};
use pullyard_domain::job::Job;
use pullyard_domain::pull_request::PullRequest;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::time::Timestamp;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Trigger<'a> {
    pub job: &'a Job,
    /// The ticket that has it now, over the revision that was read.
    pub ticket: Option<&'a Ticket>,
    /// The pull request that it revises, over the revision that was read.
    pub pull_request: Option<&'a PullRequest>,
    /// The decision, if it is not on record yet.
    pub delivery: Option<&'a Delivery>,
    /// What it takes from its project's budget, if there is one.
    pub charge: Option<&'a Charge>,
    /// The caller's own key for this request.
    pub request: Option<&'a Request>,
}

/// A request that a caller may repeat: the same key with the same content gets the first answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub caller: String,
    pub key: EventId,
    /// SHA-256 of what was asked, hex.
    pub content: String,
    pub at: Timestamp,
}

/// How long a request's key is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

impl Store {
    /// Makes a job.
    ///
    /// Writes: JOB if absent; TICKET and PR if `rev` is the one seen (absent if none was); DELIVERY if absent or
    /// not final; BUDGET if the day has as much left; IDEMPOTENCY if absent or expired.
    /// The rev proves that the facts of the decision still stand.
    /// Idempotent: by the job's id; a repeat is `Stale`, and reading again shows the job.
    pub async fn trigger(&self, trigger: &Trigger<'_>) -> Result<Write, Error> {
        let mut transaction = Transaction::new("make a job").revise(trigger.job)?;
        if let Some(ticket) = trigger.ticket {
            transaction = transaction.revise(ticket)?;
        }
        if let Some(pull_request) = trigger.pull_request {
            transaction = transaction.revise(pull_request)?;
        }
        if let Some(delivery) = trigger.delivery {
            transaction = transaction.put(delivery, unless_final())?;
        }
        if let Some(charge) = trigger.charge {
            transaction = budget::charge(transaction, charge);
        }
        if let Some(request) = trigger.request {
            transaction = remember(transaction, request, "job", trigger.job.id.as_str());
        }
        transaction.commit(self).await
    }

    /// What a caller asked for with this key, and the job it made.
    pub async fn request(&self, caller: &str, key: &EventId, now: Timestamp) -> Result<Option<(String, JobId)>, Error> {
        let remembered = self.remembered(caller, key, "job", now).await?;
        Ok(remembered.and_then(|(content, job)| JobId::new(job).ok().map(|job| (content, job))))
    }

    /// What a caller asked for with this key, and the id of what it made.
    pub(crate) async fn remembered(
        &self,
        caller: &str,
        key: &EventId,
        made: &str,
        now: Timestamp,
    ) -> Result<Option<(String, String)>, Error> {
        let Some(item) = self.get_attributes(&key::idempotency(caller, key)).await? else {
            return Ok(None);
        };
        let word = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        let expired = item
            .get(EXPIRES)
            .and_then(|value| value.as_n().ok())
            .and_then(|seconds| seconds.parse::<i64>().ok())
            .is_some_and(|seconds| seconds * 1_000 <= now.millis());
        // DynamoDB deletes late; whoever reads compares.
        if expired {
            return Ok(None);
        }
        Ok(word("content").zip(word(made)))
    }
}

/// Remembers a request and the id of what it made, unless its key was used within a day.
pub(crate) fn remember(transaction: Transaction, request: &Request, made: &str, id: &str) -> Transaction {
    // DynamoDB deletes late; an expired key is as good as none.
    let unused = Condition::of("attribute_not_exists(pk) OR #expires <= :now")
        .name("#expires", EXPIRES)
        .value(":now", number(request.at.millis() / 1_000));
    transaction.put_item(request_item(request, made, id), unused)
}

fn request_item(request: &Request, made: &str, id: &str) -> Attributes {
    let key = key::idempotency(&request.caller, &request.key);
    let expires = request.at.plus(REMEMBERED).millis() / 1_000;
    Attributes::from([
        ("pk".to_owned(), text(key.pk)),
        ("sk".to_owned(), text(key.sk)),
        ("content".to_owned(), text(&request.content)),
        (made.to_owned(), text(id)),
        (EXPIRES.to_owned(), number(expires)),
    ])
}

impl Store {
    /// Notes what jobs of a class ask for, before the first of them is made.
    ///
    /// Writes: CLASS if absent; it never changes, its id is a hash of its content.
    pub async fn note_class(
        &self,
        project: &pullyard_domain::id::ProjectId,
        class: &pullyard_domain::id::ClassId,
        needs: &pullyard_domain::select::Needs,
    ) -> Result<(), Error> {
        let class = crate::item::class::Class { project: project.clone(), class: class.clone(), needs: needs.clone() };
        Transaction::new("note a class").put(&class, Condition::absent())?.commit(self).await?;
        Ok(())
    }
}
