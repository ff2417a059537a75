//! Creates jobs, each together with its ticket's lock and its ledger entry.

use crate::item::{Class, number_attribute, string_attribute};
use crate::key;
use crate::schema::EXPIRES;
use crate::transaction::{Condition, Transaction, number_value, string_value};
use crate::{Error, Store, Write};
use pullyard_domain::job::Job;
use pullyard_domain::job::select::ClassRequirements;
use pullyard_domain::project::budget::Charge;
use pullyard_domain::project::spending::Spending;
use pullyard_domain::review::analysis::Analysis;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::pull_request::PullRequest;
use pullyard_domain::text::id::{ClassId, EventId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use std::str::FromStr;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct JobCreation<'a> {
    pub job: &'a Job,
    /// The ticket that names the job now, at the revision that was read.
    pub ticket: Option<&'a Ticket>,
    /// The pull request that the job revises, at the revision that was read.
    pub pull_request: Option<&'a PullRequest>,
    /// The analyses of the repository that name the job now, at the revision that was read.
    pub analysis: Option<&'a Analysis>,
    /// The decision, if it is not recorded yet.
    pub delivery: Option<&'a Delivery>,
    pub charge: Option<&'a Charge>,
    /// The spending that the job counts in, at the revision that was read.
    pub spending: Option<&'a Spending>,
    /// The caller's own key for this request.
    pub request: Option<&'a Request>,
}

/// A request that a caller may repeat. The same key with the same content returns the first answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub caller: String,
    pub key: EventId,
    /// SHA-256 of the request, hex.
    pub content: String,
    pub at: Timestamp,
}

const RETENTION: Duration = Duration::from_secs(24 * 3_600);

impl Store {
    /// Writes: JOB if absent; TICKET, PR, ANALYSIS and SPENT if `rev` is the one seen (absent if new); DELIVERY if
    /// absent or not final; BUDGET if the day has enough left; IDEMPOTENCY if absent or expired. `rev` proves the facts of the
    /// decision.
    /// Idempotent: by the job's id; a repeat is `Stale`, and reading again shows the job.
    pub async fn create_job(&self, creation: &JobCreation<'_>) -> Result<Write, Error> {
        Transaction::new("create a job")
            .revise(creation.job)?
            .revise_some(creation.ticket)?
            .revise_some(creation.pull_request)?
            .revise_some(creation.analysis)?
            .record_some(creation.delivery)?
            .charge(creation.charge)
            .revise_some(creation.spending)?
            .put_request(creation.request, creation.job.id.as_str())
            .commit(self)
            .await
    }

    /// The content hash of the caller's first request with this key, and its result. `None` if it has expired at
    /// `request.at`.
    pub async fn load_request<T: FromStr>(&self, request: &Request) -> Result<Option<(String, T)>, Error> {
        let Some(item) = self.load_attributes(&key::idempotency(&request.caller, &request.key)).await? else {
            return Ok(None);
        };
        // DynamoDB deletes late, so compare the expiry.
        let expiry: Option<i64> = number_attribute(&item, EXPIRES);
        if expiry.is_some_and(|seconds| seconds * 1_000 <= request.at.millis()) {
            return Ok(None);
        }
        let result = string_attribute(&item, "result").and_then(|result| result.parse().ok());
        Ok(string_attribute(&item, "content").map(str::to_owned).zip(result))
    }

    /// Stores the requirements of a job class before the first job is created.
    /// Writes: CLASS if absent. It never changes, because its id is a hash of its content.
    pub async fn create_class(
        &self,
        project: &ProjectId,
        class: &ClassId,
        needs: &ClassRequirements,
    ) -> Result<(), Error> {
        let class = Class { project: project.clone(), class: class.clone(), needs: needs.clone() };
        Transaction::new("note a class").put(&class, Condition::absent())?.commit(self).await?;
        Ok(())
    }
}

impl Transaction {
    /// Stores a request, if there is one, and its result, unless its key was used within a day.
    pub(super) fn put_request(self, request: Option<&Request>, result: &str) -> Self {
        let Some(request) = request else { return self };
        // DynamoDB deletes late, so an expired key counts as absent.
        let unused = Condition::new("attribute_not_exists(pk) OR #expires <= :now")
            .name("#expires", EXPIRES)
            .value(":now", number_value(request.at.millis() / 1_000));
        let mut item = key::idempotency(&request.caller, &request.key).attributes();
        item.insert("content".into(), string_value(&request.content));
        item.insert("result".into(), string_value(result));
        item.insert(EXPIRES.into(), number_value(request.at.plus(RETENTION).millis() / 1_000));
        self.put_item(item, unused)
    }
}
