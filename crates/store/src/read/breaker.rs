//! Models' accounts that are left alone.

use crate::read::job::TOGETHER;
use crate::read::list::Order;
use crate::read::runner::key_of;
use crate::{Error, Store, item, key};
use pullyard_domain::breaker::{Breaker, BreakerId};
use pullyard_domain::id::JobId;
use pullyard_domain::job::Job;
use std::collections::BTreeSet;

/// How many of them are read at once, and shown at most: whoever has more has one cause for all of them.
const MOST: i32 = 100;

impl Store {
    /// Whether and until when an account is left alone. DynamoDB deletes late: [`Breaker::is_over`] decides.
    pub async fn breaker(&self, id: &BreakerId) -> Result<Option<Breaker>, Error> {
        self.get(&key::breaker(id)).await
    }

    /// A job and those breakers that stand, read strongly in one call; in none if there is nothing to ask for.
    pub async fn job_and_breakers(
        &self,
        job: Option<&JobId>,
        ids: &BTreeSet<BreakerId>,
    ) -> Result<(Option<Job>, Vec<Breaker>), Error> {
        let of_job = job.map(key::job);
        let keys: Vec<_> = of_job.clone().into_iter().chain(ids.iter().map(key::breaker)).collect();
        let (mut found, mut breakers) = (None, Vec::new());
        for some in keys.chunks(TOGETHER) {
            for item in self.items(some.to_vec()).await? {
                let pk = item.get("pk").and_then(|pk| pk.as_s().ok());
                match of_job.as_ref().filter(|of_job| pk == Some(&of_job.pk)) {
                    Some(of_job) => found = Some(item::decode(item, of_job)?),
                    None => breakers.push(item::decode(item.clone(), &key_of(&item))?),
                }
            }
        }
        Ok((found, breakers))
    }

    /// All of them, by name, at most a hundred; those that are over among them.
    pub async fn breakers(&self) -> Result<Vec<Breaker>, Error> {
        let (keys, _) = self.list(key::BREAKER_LIST, Order::ByName, None, MOST).await?;
        let ids = keys.iter().filter_map(|pk| pk.strip_prefix(key::BREAKERS)?.replace('#', "/").parse().ok());
        let items = self.items(ids.map(|id: BreakerId| key::breaker(&id)).collect()).await?;
        let read = items.into_iter().map(|item| item::decode(item, &key::breakers()));
        let mut read = read.collect::<Result<Vec<Breaker>, _>>()?;
        read.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(read)
    }
}
