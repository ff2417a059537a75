//! Models' accounts that are left alone.

use crate::read::list::Order;
use crate::{Error, Store, item, key};
use pullyard_domain::breaker::{Breaker, BreakerId};
use std::collections::BTreeSet;

/// How many of them are read at once, and shown at most: whoever has more has one cause for all of them.
const MOST: i32 = 100;

impl Store {
    /// Whether and until when an account is left alone. DynamoDB deletes late: [`Breaker::is_over`] decides.
    pub async fn breaker(&self, id: &BreakerId) -> Result<Option<Breaker>, Error> {
        self.get(&key::breaker(id)).await
    }

    /// Those of these breakers that stand, in any order and read strongly.
    pub async fn breakers_among(&self, ids: &BTreeSet<BreakerId>) -> Result<Vec<Breaker>, Error> {
        let keys: Vec<_> = ids.iter().map(key::breaker).collect();
        self.many(&keys).await?.into_iter().map(item::decoded).collect()
    }

    /// All of them, by name, at most a hundred; those that are over among them.
    pub async fn breakers(&self) -> Result<Vec<Breaker>, Error> {
        let (keys, _) = self.list(key::BREAKER_LIST, Order::ByName, None, MOST).await?;
        let ids = keys.iter().filter_map(|pk| pk.strip_prefix(key::BREAKERS)?.replace('#', "/").parse().ok());
        let items = self.many(&ids.map(|id: BreakerId| key::breaker(&id)).collect::<Vec<_>>()).await?;
        let mut read = items.into_iter().map(item::decoded).collect::<Result<Vec<Breaker>, _>>()?;
        read.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(read)
    }
}
