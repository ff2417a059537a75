//! Stores the events of an agent in batches.

use crate::item::blob;
use crate::key;
use crate::schema::EXPIRES;
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, Store, Write};
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use serde::Serialize;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct EventBatch<'a, E> {
    pub job: &'a JobId,
    pub attempt: u32,
    pub first: u64,
    pub at: Timestamp,
    pub events: &'a [E],
}

const RETENTION: Duration = Duration::from_secs(90 * 24 * 3_600);

impl Store {
    /// Stores a batch. A stored batch never changes.
    /// Writes: the batch if absent.
    /// Idempotent: by attempt and first number; a repeat is `Stale`, which counts as success.
    pub async fn create_event_batch<E: Serialize>(&self, batch: &EventBatch<'_, E>) -> Result<Write, Error> {
        let mut item = blob::pack(&key::events(batch.job, batch.attempt, batch.first), &batch.events)?;
        item.insert("at".into(), number_value(batch.at.millis()));
        item.insert(EXPIRES.into(), number_value(batch.at.plus(RETENTION).millis() / 1_000));
        Transaction::new("store events").put_item(item, Condition::absent()).commit(self).await
    }
}
