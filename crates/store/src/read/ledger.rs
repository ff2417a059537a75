//! Reads the ledger.

use crate::read::list::{Page, cursor_of};
use crate::{Error, Store, key};
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::text::id::{DeliveryId, ProjectId};
use pullyard_domain::text::time::Timestamp;

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
    ) -> Result<Page<DeliveryId>, Error> {
        // An entry's sort key continues after its time, so entries at `until` itself are excluded.
        let (keys, next) = self.list_keys_until(&key::delivery_list(project), until, after, limit).await?;
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
