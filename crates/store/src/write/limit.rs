//! Writes the places of jobs in limits: taken at the admission of a job, free once the job leaves its limits.

use crate::key;
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::job::Job;
use pullyard_domain::limit::{Holders, LimitKey};
use std::collections::HashMap;

/// A place that a job takes.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub limit: &'a LimitKey,
    pub max: u32,
    /// The limit as it was read; `None` if no job ever took a place.
    pub seen: Option<&'a Holders>,
}

impl Store {
    pub async fn load_holders(&self, limit: &LimitKey) -> Result<Option<Holders>, Error> {
        self.load_part(&key::limit(limit)).await
    }

    /// Stores the admission of a job with all its places.
    /// Writes: JOB if `rev` is the one seen; each LIMIT one holder more, if it has room or the job is one already, or put
    /// if absent.
    /// Idempotent: through the domain; a repeat is `Stale`, and reading again shows the admission.
    pub async fn admit_job(&self, job: &Job, places: &[Place<'_>]) -> Result<Write, Error> {
        let mut transaction = Transaction::new("admit a job").revise(job)?;
        let since = number_value(job.ready_since.millis());
        for place in places {
            let key = key::limit(place.limit);
            transaction = match place.seen {
                Some(_) => {
                    let room = "size(holders) < :max OR attribute_exists(holders.#job)";
                    let condition = Condition::new(room).name("#job", job.id.as_str());
                    let condition = condition.value(":max", number_value(place.max)).value(":since", since.clone());
                    transaction.update(key, "holders.#job = :since", "", condition)
                }
                None => {
                    let first = HashMap::from([(job.id.to_string(), since.clone())]);
                    let mut item = key.attributes();
                    item.insert("holders".into(), AttributeValue::M(first));
                    transaction.put_item(item, Condition::absent())
                }
            };
        }
        transaction.commit(self).await
    }
}

impl Transaction {
    /// Frees the place of a job. A free place is no error.
    pub(super) fn free_place(self, limit: &LimitKey, job: &Job) -> Self {
        // The item is never deleted. DynamoDB rejects `REMOVE holders.#job` on a missing item as invalid.
        let condition = Condition::new("attribute_exists(pk)").name("#job", job.id.as_str());
        self.update(key::limit(limit), "", "holders.#job", condition)
    }
}
