//! Reads the events of an attempt in order.

use crate::item::{Attributes, blob, key_of};
use crate::transaction::string_value;
use crate::{Error, Store, key};
use pullyard_domain::id::JobId;
use pullyard_domain::time::Timestamp;
use serde::de::DeserializeOwned;

#[derive(Clone, Debug)]
pub struct StoredBatch<E> {
    pub first: u64,
    pub at: Timestamp,
    pub events: Vec<E>,
}

/// Largest number that a key orders correctly.
const MAX_SEQ: u64 = 9_999_999_999;

#[derive(Clone, Copy)]
enum Range {
    After,
    Before,
}

impl Store {
    /// The batches of an attempt whose first event is after `seq`, oldest first. Fewer than `limit` are the last ones.
    pub async fn list_event_batches<E: DeserializeOwned>(
        &self,
        job: &JobId,
        attempt: u32,
        seq: u64,
        limit: i32,
    ) -> Result<Vec<StoredBatch<E>>, Error> {
        let from = key::events(job, attempt, seq);
        let items = self.query_batches(from, Range::After, limit).await?;
        items.into_iter().map(unpack_batch).collect()
    }

    /// The newest batches of an attempt whose first event is before `seq`, oldest first. Fewer than `limit` are all.
    pub async fn list_event_batches_before<E: DeserializeOwned>(
        &self,
        job: &JobId,
        attempt: u32,
        seq: u64,
        limit: i32,
    ) -> Result<Vec<StoredBatch<E>>, Error> {
        let until = key::events(job, attempt, seq.min(MAX_SEQ));
        let items = self.query_batches(until, Range::Before, limit).await?;
        items.into_iter().rev().map(unpack_batch).collect()
    }

    async fn query_batches(&self, bound: key::Key, range: Range, limit: i32) -> Result<Vec<Attributes>, Error> {
        let (condition, oldest_first) = match range {
            Range::After => ("pk = :pk AND sk > :sk", true),
            Range::Before => ("pk = :pk AND sk < :sk", false),
        };
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let remaining = limit.saturating_sub(i32::try_from(items.len()).unwrap_or(i32::MAX));
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression(condition)
                .expression_attribute_values(":pk", string_value(&bound.pk))
                .expression_attribute_values(":sk", string_value(&bound.sk))
                .consistent_read(true)
                .scan_index_forward(oldest_first)
                .set_exclusive_start_key(start)
                .limit(remaining)
                .send()
                .await
                .map_err(|error| Error::unavailable("read events", error))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            // DynamoDB ends an answer at one megabyte, even below the limit.
            if start.is_none() || i32::try_from(items.len()).is_ok_and(|read| read >= limit) {
                return Ok(items);
            }
        }
    }
}

fn unpack_batch<E: DeserializeOwned>(item: Attributes) -> Result<StoredBatch<E>, Error> {
    let key = key_of(&item);
    let corrupt = |reason: &str| Error::Corrupt { key: key.to_string(), reason: reason.into() };
    let first = key.sk.parse().map_err(|_| corrupt("its number is invalid"))?;
    let at = item
        .get("at")
        .and_then(|value| value.as_n().ok())
        .and_then(|at| at.parse().ok())
        .ok_or_else(|| corrupt("it has no time"))?;
    Ok(StoredBatch { first, at: Timestamp::from_millis(at), events: blob::unpack(&key, &item)? })
}
