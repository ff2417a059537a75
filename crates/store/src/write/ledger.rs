//! The ledger's own writes.

use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};
use pullyard_domain::delivery::Delivery;

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

    /// Notes that an answered delivery came again.
    ///
    /// Writes: DELIVERY if it is there and has room.
    pub async fn note_repeat(
        &self,
        delivery: &pullyard_domain::id::DeliveryId,
        at: pullyard_domain::time::Timestamp,
    ) -> Result<(), Error> {
        use crate::transaction::number;
        use aws_sdk_dynamodb::types::AttributeValue;
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
