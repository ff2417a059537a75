//! The ledger.

use crate::item::{self, Stored};
use crate::read::list::{Order, cursor_of};
use crate::transaction::text;
use crate::{Error, Store, key};
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{DeliveryId, ProjectId};
use std::collections::HashMap;

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

    /// Many entries, read strongly, in the order of their ids; one that is gone is left out.
    pub async fn deliveries(&self, ids: &[DeliveryId]) -> Result<Vec<Delivery>, Error> {
        let mut found = HashMap::with_capacity(ids.len());
        for item in self.many(&ids.iter().map(key::delivery).collect::<Vec<_>>()).await? {
            let delivery: Delivery = item::decoded(item)?;
            found.insert(delivery.id.clone(), delivery);
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// The cursor of a page of one day that ends with this entry.
    pub fn cursor_after_delivery(&self, delivery: &Delivery) -> String {
        let key = delivery.key();
        let order = delivery.listed().map(|(_, order)| order).unwrap_or_default();
        let row = [("ls", order), ("pk", key.pk), ("sk", key.sk)];
        cursor_of(&row.map(|(name, value)| (name.to_owned(), text(value))).into())
    }
}
