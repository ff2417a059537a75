//! Writes ledger entries.

use crate::item::encode_part;
use crate::transaction::{Condition, Transaction, string_value};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, JobId};

#[derive(Clone, Debug)]
pub enum Conclusion {
    Job(JobId),
    Refused(Reason),
}

/// Final answers are never replaced.
pub(crate) fn unless_final() -> Condition {
    Condition::new("attribute_not_exists(pk) OR #final = :false")
        .name("#final", "final")
        .value(":false", AttributeValue::Bool(false))
}

impl Transaction {
    /// Records a decision, if there is one, unless its delivery has a final answer.
    pub(super) fn record_some(self, delivery: Option<&Delivery>) -> Result<Self, Error> {
        match delivery {
            Some(delivery) => self.put(delivery, unless_final()),
            None => Ok(self),
        }
    }
}

impl Store {
    /// Records a decision that created no job.
    /// Writes: DELIVERY if absent or not final.
    /// Idempotent: by the delivery's id; `Stale` means that a final answer is stored already.
    pub async fn record_delivery(&self, delivery: &Delivery) -> Result<Write, Error> {
        Transaction::new("record a decision").put(delivery, unless_final())?.commit(self).await
    }

    /// Notes the outcome of a held review: the job that covers it, or its last answer.
    /// Writes: DELIVERY if it exists and names no job. A last answer: `reason`, no longer final. A job: `job`; if the
    /// answer was not final, also `reason`, now final.
    /// Idempotent: a repeat changes nothing.
    pub async fn conclude_review(&self, delivery: &DeliveryId, conclusion: &Conclusion) -> Result<Write, Error> {
        let key = crate::key::delivery(delivery);
        let transaction = Transaction::new("record the outcome of a held review");
        match conclusion {
            Conclusion::Job(job) => {
                let if_final = |is_final: bool| {
                    Condition::new("attribute_exists(pk) AND attribute_not_exists(job) AND #final = :is")
                        .name("#final", "final")
                        .value(":is", AttributeValue::Bool(is_final))
                        .value(":job", string_value(job.as_str()))
                };
                let write = transaction.update(key.clone(), "job = :job", "", if_final(true)).commit(self).await?;
                if write == Write::Applied {
                    return Ok(write);
                }
                // Its project was held, or the review was about to be refused when its job was created.
                let reason = encode_part(&key, &Reason::Accepted { job: job.clone() })?;
                let condition = if_final(false).value(":reason", reason).value(":true", AttributeValue::Bool(true));
                Transaction::new("note the job of a review")
                    .update(key, "job = :job, reason = :reason, #final = :true", "", condition)
                    .commit(self)
                    .await
            }
            Conclusion::Refused(reason) => {
                let reason = encode_part(&key, reason)?;
                let condition = Condition::new("attribute_exists(pk) AND attribute_not_exists(job)")
                    .name("#final", "final")
                    .value(":reason", reason)
                    .value(":false", AttributeValue::Bool(false));
                transaction.update(key, "reason = :reason, #final = :false", "", condition).commit(self).await
            }
        }
    }
}
