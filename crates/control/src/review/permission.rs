//! Checks at the forge whether an account may start jobs for a repository, and caches the answer.

use crate::allowed_names::check_integration_use;
use crate::forge::forge_client;
use crate::{Context, Error};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::review::{Author, Permission};
use pullyard_forge::{Actor, Permission as Access};
use std::time::Duration;

const CACHE_TTL: Duration = Duration::from_secs(600);

/// Takes a few seconds at most. Caches answers, but not failures.
/// Errors: `NotListed`; `Forge` if it did not answer; `Cloud` if its token could not be read.
pub(crate) async fn get_permission(
    ctx: &Context,
    integration: &Integration,
    repository: &Repository,
    number: u64,
    author: &Author,
) -> Result<Permission, Error> {
    // First, because the cached answer may be another project's.
    check_integration_use(integration, &repository.project)?;
    let of = integration.kind.spec().permission_per_pull_request.then_some(number);
    let question = (integration.id.clone(), repository.id, of, author.id);
    let slot = ctx.permissions().entry(question).await;
    // Locked during the request, so that concurrent callers share the answer.
    let mut answer = slot.lock().await;
    let now = ctx.clock.now();
    if let Some((permission, at)) = *answer
        && now.since(at) < CACHE_TTL
    {
        return Ok(permission);
    }
    let forge = forge_client(ctx, integration, repository).await?;
    let account = Actor { id: author.id, login: author.login.clone(), is_bot: author.bot };
    let access = forge.permission(repository.name.as_str(), number, &account).await?;
    // Since the review, the login may have been assigned to another account.
    let same = access.account.is_none_or(|account| account == author.id);
    let permission = match access.permission {
        Access::Admin | Access::Write if same => Permission::Write,
        _ => Permission::Less,
    };
    *answer = Some((permission, now));
    Ok(permission)
}

pub(super) async fn get_permission_or_unknown(
    ctx: &Context,
    integration: &Integration,
    repository: &Repository,
    number: u64,
    author: &Author,
) -> Permission {
    match get_permission(ctx, integration, repository, number, author).await {
        Ok(permission) => permission,
        Err(error) => {
            tracing::warn!(integration = %integration.id, repository = %repository.name, error = %error, "forge did not return an author's permission");
            Permission::Unknown
        }
    }
}
