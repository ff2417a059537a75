//! What a forge is asked about its deliveries to us.

use crate::{Delivery, DeliveryBody, Error, Hook, HookScope, HookSettings, Listed, Page};

use super::{Forge, unsupported};

/// It shows them to people, on pages.
const DELIVERIES: &str = "list what was delivered";

impl Forge {
    /// The hooks of a repository, an organisation or an App. On Bitbucket an organisation is a workspace.
    ///
    /// Errors: `NotFound` also when the token may not see them; `Unsupported` for an App's on Bitbucket.
    pub async fn hooks(&self, scope: &HookScope) -> Result<Listed<Hook>, Error> {
        match self {
            Self::GitHub(github) => github.hooks(scope).await,
            Self::Bitbucket(bitbucket) => bitbucket.hooks(scope).await,
        }
    }

    /// Makes a hook, once: after a transient error it may be there or not.
    ///
    /// Errors: `Refused` when there is one with the same address and events, and for an App; `Settings` for a secret that
    /// the forge does not take.
    pub async fn create_hook(&self, scope: &HookScope, settings: &HookSettings) -> Result<Hook, Error> {
        match self {
            Self::GitHub(github) => github.create_hook(scope, settings).await,
            Self::Bitbucket(bitbucket) => bitbucket.create_hook(scope, settings).await,
        }
    }

    /// Makes a hook what the settings say.
    ///
    /// Idempotent: by the hook.
    pub async fn edit_hook(&self, scope: &HookScope, hook: u64, settings: &HookSettings) -> Result<Hook, Error> {
        match self {
            Self::GitHub(github) => github.edit_hook(scope, hook, settings).await,
            Self::Bitbucket(bitbucket) => bitbucket.edit_hook(scope, hook, settings).await,
        }
    }

    /// Deletes a hook; one that is gone is deleted.
    ///
    /// Errors: `Refused` for an App's.
    pub async fn delete_hook(&self, scope: &HookScope, hook: u64) -> Result<(), Error> {
        match self {
            Self::GitHub(github) => github.delete_hook(scope, hook).await,
            Self::Bitbucket(bitbucket) => bitbucket.delete_hook(scope, hook).await,
        }
    }

    /// One page of what was delivered, newest first, whatever became of it. GitHub keeps three days.
    ///
    /// A delivery that was tried again stands there once for each try, with the same `guid`.
    /// Errors: `Unsupported` on Bitbucket, as for everything below.
    pub async fn deliveries(
        &self,
        scope: &HookScope,
        hook: u64,
        cursor: Option<&str>,
    ) -> Result<Page<Delivery, String>, Error> {
        match self {
            Self::GitHub(github) => github.deliveries(scope, hook, cursor).await,
            Self::Bitbucket(_) => unsupported(DELIVERIES),
        }
    }

    /// One delivery with what was sent.
    ///
    /// Errors: `NotFound` when it is too old.
    pub async fn delivery(&self, scope: &HookScope, hook: u64, delivery: u64) -> Result<DeliveryBody, Error> {
        match self {
            Self::GitHub(github) => github.delivery(scope, hook, delivery).await,
            Self::Bitbucket(_) => unsupported(DELIVERIES),
        }
    }

    /// Has the forge deliver it again, under the same `guid`. Whether it arrives is told by `deliveries`.
    pub async fn redeliver(&self, scope: &HookScope, hook: u64, delivery: u64) -> Result<(), Error> {
        match self {
            Self::GitHub(github) => github.redeliver(scope, hook, delivery).await,
            Self::Bitbucket(_) => unsupported("have something delivered again"),
        }
    }
}
