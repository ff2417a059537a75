//! What an agent does, batch by batch.

use crate::item::blob;
use crate::key;
use crate::schema::EXPIRES;
use crate::transaction::{Condition, Transaction, number};
use crate::{Error, Store, Write};
use pullyard_domain::id::JobId;
use pullyard_domain::time::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// A batch of events of one attempt. `events` is whatever the wire carries; the table does not look in.
#[derive(Clone, Debug)]
pub struct Batch<'a, E> {
    pub job: &'a JobId,
    pub attempt: u32,
    /// The number of the first event.
    pub first: u64,
    pub at: Timestamp,
    pub events: &'a [E],
}

/// How long events are kept.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3_600);

impl Store {
    /// Stores a batch. A batch is immutable: what stands under its number stays.
    ///
    /// Writes: the batch if absent.
    /// Idempotent: by attempt and first number; a repeat is `Stale` and as good.
    pub async fn store_events<E: Serialize>(&self, batch: &Batch<'_, E>) -> Result<Write, Error> {
        let mut item = blob::pack(&key::events(batch.job, batch.attempt, batch.first), &batch.events)?;
        item.insert("at".into(), number(batch.at.millis()));
        item.insert(EXPIRES.into(), number(batch.at.plus(KEPT).millis() / 1_000));
        Transaction::new("store events").put_item(item, Condition::absent()).commit(self).await
    }
}
