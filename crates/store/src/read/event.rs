//! Reads the events of an attempt in order.

use crate::item::{Attributes, blob, key_of, number_attribute};
use crate::read::partition::SortKeys;
use crate::{Error, Store, key};
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use serde::de::DeserializeOwned;

#[derive(Clone, Debug)]
pub struct StoredBatch<E> {
    pub first: u64,
    pub at: Timestamp,
    pub events: Vec<E>,
}

/// Largest number that a key orders correctly.
const MAX_SEQ: u64 = 9_999_999_999;

impl Store {
    /// The batches of an attempt whose first event is after `seq`, oldest first. Fewer than `limit` are the last ones.
    pub async fn list_event_batches<E: DeserializeOwned>(
        &self,
        job: &JobId,
        attempt: u32,
        seq: u64,
        limit: i32,
    ) -> Result<Vec<StoredBatch<E>>, Error> {
        let Some(first) = seq.checked_add(1).filter(|first| *first <= MAX_SEQ) else { return Ok(Vec::new()) };
        let [first, last] = [first, MAX_SEQ].map(|seq| key::events(job, attempt, seq));
        self.query_batches(&first.pk, SortKeys::Ascending(&first, &last), limit).await
    }

    /// The newest batches of an attempt whose first event is before `seq`, oldest first. Fewer than `limit` are all.
    pub async fn list_event_batches_before<E: DeserializeOwned>(
        &self,
        job: &JobId,
        attempt: u32,
        seq: u64,
        limit: i32,
    ) -> Result<Vec<StoredBatch<E>>, Error> {
        let Some(last) = seq.min(MAX_SEQ).checked_sub(1) else { return Ok(Vec::new()) };
        let [first, last] = [0, last].map(|seq| key::events(job, attempt, seq));
        let mut batches = self.query_batches(&first.pk, SortKeys::Descending(&first, &last), limit).await?;
        batches.reverse();
        Ok(batches)
    }

    async fn query_batches<E: DeserializeOwned>(
        &self,
        pk: &str,
        keys: SortKeys<'_>,
        limit: i32,
    ) -> Result<Vec<StoredBatch<E>>, Error> {
        let limit = usize::try_from(limit).unwrap_or_default();
        let items = self.query_items(pk, keys, Some(limit), "read events").await?;
        items.into_iter().map(unpack_batch).collect()
    }
}

fn unpack_batch<E: DeserializeOwned>(item: Attributes) -> Result<StoredBatch<E>, Error> {
    let key = key_of(&item);
    let first = key.sk.parse().map_err(|_| Error::corrupt(&key, "its number is invalid"))?;
    let at = number_attribute(&item, "at").ok_or_else(|| Error::corrupt(&key, "it has no time"))?;
    Ok(StoredBatch { first, at: Timestamp::from_millis(at), events: blob::unpack(&key, &item)? })
}
