//! Webhooks and what stands around them.

use crate::item::hook::{HookHeard, Rotation, heard};
use crate::read::list::Order;
use crate::{Error, Store, key};
use pullyard_domain::hook::{Hook, Poll};
use pullyard_domain::id::{HookName, IntegrationId, ProjectId};

impl Store {
    pub async fn hook(&self, name: &HookName) -> Result<Option<Hook>, Error> {
        self.get(&key::hook(name)).await
    }

    /// The names of all webhooks, by name, and where the next page begins.
    pub async fn hook_names(&self, after: Option<&str>, limit: i32) -> Result<(Vec<HookName>, Option<String>), Error> {
        let (keys, next) = self.list(key::HOOK_LIST, Order::ByName, after, limit).await?;
        let names = keys.iter().filter_map(|pk| HookName::new(pk.strip_prefix(key::HOOKS)?).ok()).collect();
        Ok((names, next))
    }

    /// What was heard of a webhook lately; of another one of its name nothing.
    pub async fn hook_heard(&self, hook: &Hook) -> Result<HookHeard, Error> {
        let heard: Option<HookHeard> = self.get(&heard(&hook.name)).await?;
        Ok(heard.filter(|heard| heard.is_of(hook)).unwrap_or_default())
    }

    /// How a repository is looked at; none if it never was.
    pub async fn poll(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        repository: u64,
    ) -> Result<Option<Poll>, Error> {
        self.get(&key::poll(project, integration, repository)).await
    }

    /// How long the last value of a secret counts beside its present one, if it does or did.
    pub async fn rotation(&self, secret: &str) -> Result<Option<Rotation>, Error> {
        self.get(&key::rotation(secret)).await
    }
}
