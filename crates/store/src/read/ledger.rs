//! Reads the ledger.

use crate::read::list::{Order, cursor_of};
use crate::{Error, Store, key};
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{DeliveryId, ProjectId};

impl Store {
    pub async fn load_delivery(&self, delivery: &DeliveryId) -> Result<Option<Delivery>, Error> {
        self.load(&key::delivery(delivery)).await
    }

    /// The ids of a project's entries of a UTC day (`2026-11-20`), newest first, and the cursor of the next page.
    pub async fn list_delivery_ids(
        &self,
        project: &ProjectId,
        day: &str,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<DeliveryId>, Option<String>), Error> {
        let (keys, next) = self.list_keys(&key::delivery_list(project, day), Order::NewestFirst, after, limit).await?;
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
