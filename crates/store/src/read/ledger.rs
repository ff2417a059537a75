//! The ledger.

use crate::read::list::Order;
use crate::{Error, Store, key};
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{DeliveryId, ProjectId};

impl Store {
    /// A ledger entry, read strongly.
    pub async fn delivery(&self, delivery: &DeliveryId) -> Result<Option<Delivery>, Error> {
        self.get(&key::delivery(delivery)).await
    }

    /// The ids of one day's entries of a project, newest first, and where the next page begins. `day` is
    /// UTC, `2026-11-20`.
    pub async fn delivery_ids(
        &self,
        project: &ProjectId,
        day: &str,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<DeliveryId>, Option<String>), Error> {
        let (keys, next) = self.list(&key::delivery_list(project, day), Order::NewestFirst, after, limit).await?;
        let ids = keys.iter().filter_map(|pk| DeliveryId::new(pk.strip_prefix("DELIVERY#")?).ok()).collect();
        Ok((ids, next))
    }
}
