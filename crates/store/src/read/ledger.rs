//! Reads the ledger.

use crate::read::list::{Order, cursor_of};
use crate::{Error, Store, key};
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{DeliveryId, ProjectId};
use pullyard_domain::time::Timestamp;

impl Store {
    pub async fn load_delivery(&self, delivery: &DeliveryId) -> Result<Option<Delivery>, Error> {
        self.load(&key::delivery(delivery)).await
    }

    /// The ids of a project's entries that arrived before `until`, newest first, and the cursor of the next page.
    pub async fn list_delivery_ids(
        &self,
        project: &ProjectId,
        until: Option<Timestamp>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<DeliveryId>, Option<String>), Error> {
        let range = until.map(|until| [Timestamp::from_millis(0), until].map(key::to_sort_key));
        let between = range.as_ref().map(|[first, last]| (first.as_str(), last.as_str()));
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let list = key::delivery_list(project);
        let (keys, next) = self.list_keys_between(&list, Order::NewestFirst, between, after, limit).await?;
        let ids = keys.iter().filter_map(|pk| DeliveryId::new(pk.strip_prefix("DELIVERY#")?).ok()).collect();
        Ok((ids, next))
    }

    /// Many entries in the order of their ids, read strongly. Missing entries are omitted.
    pub async fn load_deliveries(&self, ids: &[DeliveryId]) -> Result<Vec<Delivery>, Error> {
        self.load_in_order(ids.iter().map(key::delivery).collect()).await
    }

    pub fn cursor_after_delivery(&self, delivery: &Delivery) -> String {
        cursor_of(delivery)
    }
}
