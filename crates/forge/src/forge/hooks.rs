//! Manages webhooks of a forge and lists their deliveries.

use crate::{Delivery, Error, Hook, HookScope, HookSettings, Listing};

use super::Forge;

impl Forge {
    /// Errors: `NotFound`, also if the token may not list them; `Unsupported` for an App on Bitbucket.
    pub async fn hooks(&self, scope: &HookScope) -> Result<Listing<Hook>, Error> {
        dispatch!(self, hooks(scope))
    }

    /// Not idempotent: after a transient error the webhook may exist.
    /// Errors: `Refused` for an App and for a duplicate of URL and events; `Settings` for an invalid secret.
    pub async fn create_hook(&self, scope: &HookScope, settings: &HookSettings) -> Result<Hook, Error> {
        dispatch!(self, create_hook(scope, settings))
    }

    /// Idempotent: by the webhook's id.
    pub async fn edit_hook(&self, scope: &HookScope, hook: u64, settings: &HookSettings) -> Result<Hook, Error> {
        dispatch!(self, edit_hook(scope, hook, settings))
    }

    /// Idempotent: a missing webhook counts as deleted. Errors: `Refused` for an App.
    pub async fn delete_hook(&self, scope: &HookScope, hook: u64) -> Result<(), Error> {
        dispatch!(self, delete_hook(scope, hook))
    }

    /// Returns up to 100 deliveries, newest first. Errors: `Unsupported` on Bitbucket.
    pub async fn deliveries(&self, scope: &HookScope, hook: u64) -> Result<Vec<Delivery>, Error> {
        dispatch!(self, deliveries(scope, hook))
    }
}
