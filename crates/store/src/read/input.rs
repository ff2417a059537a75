//! Reads the inputs of a job in order.

use crate::item::decode_item;
use crate::read::partition::SortKeys;
use crate::{Error, Store, key};
use pullyard_domain::id::JobId;
use pullyard_domain::job::Input;

impl Store {
    pub async fn list_inputs(&self, job: &JobId, after: u32) -> Result<Vec<Input>, Error> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let [first, last] = [first, u32::MAX].map(|seq| key::input(job, seq));
        let items = self.query_items(&first.pk, SortKeys::Ascending(&first, &last), None, "read inputs").await?;
        items.into_iter().map(decode_item).collect()
    }
}
