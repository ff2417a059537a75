//! Reads webhooks, their notes, polled repositories and rotated secrets.

use crate::item::hook::{HookHeard, Rotation, heard};
use crate::read::list::Order;
use crate::{Error, Store, key};
use pullyard_domain::hook::{Poll, Webhook};
use pullyard_domain::id::{HookName, IntegrationId, ProjectId};

impl Store {
    pub async fn hook(&self, name: &HookName) -> Result<Option<Webhook>, Error> {
        self.get(&key::hook(name)).await
    }

    /// The names of all webhooks in order, and the cursor of the next page.
    pub async fn hook_names(&self, after: Option<&str>, limit: i32) -> Result<(Vec<HookName>, Option<String>), Error> {
        let (keys, next) = self.list(key::HOOK_LIST, Order::ByName, after, limit).await?;
        let names = keys.iter().filter_map(|pk| HookName::new(pk.strip_prefix(key::HOOKS)?).ok()).collect();
        Ok((names, next))
    }

    /// The note about a webhook; empty if it is about another webhook of this name.
    pub async fn hook_heard(&self, hook: &Webhook) -> Result<HookHeard, Error> {
        let heard: Option<HookHeard> = self.get(&heard(&hook.name)).await?;
        Ok(heard.filter(|heard| heard.is_of(hook)).unwrap_or_default())
    }

    /// How a repository is polled; `None` if it never was.
    pub async fn poll(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        repository: u64,
    ) -> Result<Option<Poll>, Error> {
        self.get(&key::poll(project, integration, repository)).await
    }

    /// How long a secret's previous value stays valid, if the secret was rotated.
    pub async fn rotation(&self, secret: &str) -> Result<Option<Rotation>, Error> {
        self.get(&key::rotation(secret)).await
    }
}
