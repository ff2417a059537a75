//! Reads breakers.

use crate::{Error, Store, key};
use pullyard_domain::agent::breaker::{Breaker, BreakerId};
use std::collections::BTreeSet;

impl Store {
    /// The breaker of an account. DynamoDB deletes late: [`Breaker::is_over`] decides.
    pub async fn load_breaker(&self, id: &BreakerId) -> Result<Option<Breaker>, Error> {
        self.load(&key::breaker(id)).await
    }

    /// The existing breakers among these, in any order, read strongly.
    pub async fn load_breakers(&self, ids: &BTreeSet<BreakerId>) -> Result<Vec<Breaker>, Error> {
        let keys: Vec<_> = ids.iter().map(key::breaker).collect();
        self.load_many(&keys).await?.iter().map(|item| self.decode(item)).collect()
    }

    /// All breakers by name, including those that are over.
    pub async fn list_breakers(&self) -> Result<Vec<Breaker>, Error> {
        let keys = self.list_all_keys(key::BREAKER_LIST).await?;
        let ids = keys.iter().filter_map(|pk| pk.strip_prefix(key::BREAKERS)?.replace('#', "/").parse().ok());
        let items = self.load_many(&ids.map(|id: BreakerId| key::breaker(&id)).collect::<Vec<_>>()).await?;
        let mut breakers = items.iter().map(|item| self.decode(item)).collect::<Result<Vec<Breaker>, _>>()?;
        breakers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(breakers)
    }
}
