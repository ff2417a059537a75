//! The ledger's own writes.

use crate::transaction::{Condition, Transaction, text};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{DeliveryId, JobId};

/// What became of a review that was held.
#[derive(Clone, Debug)]
pub enum Conclusion {
    /// This job covers it.
    Covered(JobId),
    /// It got this last answer.
    Refused(Reason),
}

/// Final answers are never replaced.
pub(crate) fn unless_final() -> Condition {
    Condition::of("attribute_not_exists(pk) OR #final = :false")
        .name("#final", "final")
        .value(":false", aws_sdk_dynamodb::types::AttributeValue::Bool(false))
}

impl Store {
    /// Records a decision that made no job.
    ///
    /// Writes: DELIVERY if absent or not final.
    /// Idempotent: by the delivery's id; `Stale` means that a final answer stands there already.
    pub async fn record(&self, delivery: &Delivery) -> Result<Write, Error> {
        Transaction::new("record a decision").put(delivery, unless_final())?.commit(self).await
    }

    /// Notes what became of a review that was held: the job that covers it, or its last answer.
    ///
    /// Writes: DELIVERY, if it is there and names no job: `job`; or else `reason`, no longer final.
    /// Idempotent: the same again is the same.
    pub async fn conclude(&self, delivery: &DeliveryId, end: &Conclusion) -> Result<Write, Error> {
        let held = Condition::of("attribute_exists(pk) AND attribute_not_exists(job)");
        let key = crate::key::delivery(delivery);
        let transaction = Transaction::new("note what became of a held review");
        match end {
            Conclusion::Covered(job) => {
                let condition = held.value(":job", text(job.as_str()));
                transaction.update(key, "job = :job", "", condition).commit(self).await
            }
            Conclusion::Refused(reason) => {
                let reason = serde_dynamo::to_item(reason)
                    .map_err(|error| Error::Corrupt { key: key.to_string(), reason: error.to_string() })?;
                let condition = held
                    .name("#final", "final")
                    .value(":reason", AttributeValue::M(reason))
                    .value(":false", AttributeValue::Bool(false));
                transaction.update(key, "reason = :reason, #final = :false", "", condition).commit(self).await
            }
        }
    }

    /// Notes that an answered delivery came again.
    ///
    /// Writes: DELIVERY if it is there and has room.
    pub async fn note_repeat(&self, delivery: &DeliveryId, at: pullyard_domain::time::Timestamp) -> Result<(), Error> {
        use crate::transaction::number;
        let condition = Condition::of("attribute_exists(pk) AND size(seen) < :most")
            .value(":most", number(pullyard_domain::delivery::MOST_SEEN))
            .value(":at", AttributeValue::L(vec![number(at.millis())]));
        Transaction::new("note a repeated delivery")
            .update(crate::key::delivery(delivery), "seen = list_append(seen, :at)", "", condition)
            .commit(self)
            .await?;
        Ok(())
    }
}
