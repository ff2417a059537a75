//! Reads webhooks, their notes, polled repositories and rotated secrets.

use crate::item::hook::{HookStats, Rotation, hook_stats_key};
use crate::read::list::{Order, Page};
use crate::{Error, Store, key};
use pullyard_domain::project::hook::{Poll, Webhook};
use pullyard_domain::text::id::{HookName, IntegrationId, ProjectId};

fn parse_hook_name(pk: &str) -> Option<HookName> {
    HookName::new(pk.strip_prefix(key::HOOKS)?).ok()
}

impl Store {
    pub async fn load_hook(&self, name: &HookName) -> Result<Option<Webhook>, Error> {
        self.load(&key::hook(name)).await
    }

    /// Many webhooks, in any order. Missing ones are omitted. An undecodable one is its error.
    pub async fn load_hooks(&self, names: &[HookName]) -> Result<Vec<Result<Webhook, Error>>, Error> {
        let keys: Vec<_> = names.iter().map(key::hook).collect();
        Ok(self.load_many(&keys).await?.iter().map(|item| self.decode(item)).collect())
    }

    /// The names of all webhooks in order, and the cursor of the next page.
    pub async fn list_hook_names(&self, after: Option<&str>, limit: i32) -> Result<Page<HookName>, Error> {
        let (keys, next) = self.list_keys(key::HOOK_LIST, Order::ByName, after, limit).await?;
        Ok((keys.iter().filter_map(|pk| parse_hook_name(pk)).collect(), next))
    }

    /// Like `list_hook_names`, each with the cursor after it.
    pub async fn list_hook_rows(&self, after: Option<&str>, limit: i32) -> Result<Page<(HookName, String)>, Error> {
        let (rows, next) = self.list_rows(key::HOOK_LIST, Order::ByName, None, after, limit).await?;
        Ok((rows.into_iter().filter_map(|(pk, cursor)| Some((parse_hook_name(&pk)?, cursor))).collect(), next))
    }

    pub async fn list_all_hook_names(&self) -> Result<Vec<HookName>, Error> {
        Ok(self.list_all_keys(key::HOOK_LIST).await?.iter().filter_map(|pk| parse_hook_name(pk)).collect())
    }

    pub async fn load_hook_stats(&self, hook: &Webhook) -> Result<HookStats, Error> {
        Ok(self.load_part(&hook_stats_key(&hook.name)).await?.unwrap_or_default())
    }

    pub async fn load_poll(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        repository: u64,
    ) -> Result<Option<Poll>, Error> {
        self.load(&key::poll(project, integration, repository)).await
    }

    /// How long a secret's previous value stays valid, if the secret was rotated.
    pub async fn load_rotation(&self, secret: &str) -> Result<Option<Rotation>, Error> {
        self.load(&key::rotation(secret)).await
    }
}
