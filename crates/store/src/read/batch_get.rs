//! Reads many items by their keys in as few calls as possible.

use crate::item::{Attributes, Item, key_of};
use crate::key::Key;
use crate::{Error, Store};
use aws_sdk_dynamodb::types::KeysAndAttributes;
use std::collections::HashMap;
use std::time::Duration;

const MAX_BATCH_ITEMS: usize = 100;

const MAX_TRIES: usize = 5;

impl Store {
    /// The items under these keys, read strongly, in any order. The keys must be unique.
    pub(crate) async fn load_many(&self, keys: &[Key]) -> Result<Vec<Attributes>, Error> {
        let mut items = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(MAX_BATCH_ITEMS) {
            self.load_batch(chunk.iter().map(Key::attributes).collect(), &mut items).await?;
        }
        Ok(items)
    }

    /// Decodes the items under these keys, in their order. Missing items are omitted.
    pub(crate) async fn load_in_order<T: Item>(&self, keys: Vec<Key>) -> Result<Vec<T>, Error> {
        self.load_each_in_order(keys).await?.into_iter().collect()
    }

    /// Like `load_in_order`; an undecodable item is its error.
    pub(crate) async fn load_each_in_order<T: Item>(&self, keys: Vec<Key>) -> Result<Vec<Result<T, Error>>, Error> {
        let items = self.load_many(&keys).await?;
        let mut items: HashMap<Key, Attributes> = items.into_iter().map(|item| (key_of(&item), item)).collect();
        Ok(keys.iter().filter_map(|key| Some(self.decode(&items.remove(key)?))).collect())
    }

    async fn load_batch(&self, mut keys: Vec<Attributes>, items: &mut Vec<Attributes>) -> Result<(), Error> {
        let build_error = |error| Error::unavailable("read many", error);
        for attempt in 0..MAX_TRIES {
            if attempt > 0 {
                self.pause(Duration::from_millis(20 << attempt)).await;
            }
            let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, request.map_err(build_error)?)
                .send()
                .await
                .map_err(|error| Error::unavailable("read many", error))?;
            items.extend(answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default());
            // An answer ends at 16 MB, or earlier if the table is busy.
            let unprocessed = answer.unprocessed_keys.unwrap_or_default().remove(&self.table);
            keys = unprocessed.map(|unprocessed| unprocessed.keys).unwrap_or_default();
            if keys.is_empty() {
                return Ok(());
            }
        }
        Err(Error::Unavailable { operation: "read many", reason: "some were left out".into(), transient: true })
    }
}
