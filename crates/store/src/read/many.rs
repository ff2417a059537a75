//! Reads many items by their keys in as few calls as possible.

use crate::item::Attributes;
use crate::key::Key;
use crate::transaction::text;
use crate::{Error, Store};
use aws_sdk_dynamodb::types::KeysAndAttributes;
use std::collections::HashMap;
use std::time::Duration;

/// The limit of BatchGetItem.
const TOGETHER: usize = 100;

const TRIES: usize = 5;

impl Store {
    /// The items under these keys, read strongly, in any order. The keys must be unique.
    pub(crate) async fn many(&self, keys: &[Key]) -> Result<Vec<Attributes>, Error> {
        let mut items = Vec::with_capacity(keys.len());
        for some in keys.chunks(TOGETHER) {
            self.batch(some.iter().map(whole).collect(), &mut items).await?;
        }
        Ok(items)
    }

    /// Like `many`, for keys that fit into one call.
    pub(crate) async fn few(&self, keys: &[&Key]) -> Result<Vec<Attributes>, Error> {
        let mut items = Vec::with_capacity(keys.len());
        self.batch(keys.iter().map(|key| whole(key)).collect(), &mut items).await?;
        Ok(items)
    }

    async fn batch(&self, mut wanted: Vec<Attributes>, items: &mut Vec<Attributes>) -> Result<(), Error> {
        let broken = |error| Error::unavailable("read many", error);
        for tried in 0..TRIES {
            if tried > 0 {
                self.pause(Duration::from_millis(20 << tried)).await;
            }
            let asked = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, asked.map_err(broken)?)
                .send()
                .await
                .map_err(|error| Error::unavailable("read many", error))?;
            items.extend(answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default());
            // An answer ends at 16 MB, or earlier if the table is busy.
            let left = answer.unprocessed_keys.unwrap_or_default().remove(&self.table);
            wanted = left.map(|left| left.keys).unwrap_or_default();
            if wanted.is_empty() {
                return Ok(());
            }
        }
        Err(Error::Unavailable { operation: "read many", reason: "some were left out".into(), transient: true })
    }
}

fn whole(key: &Key) -> Attributes {
    HashMap::from([("pk".to_owned(), text(&key.pk)), ("sk".to_owned(), text(&key.sk))])
}
