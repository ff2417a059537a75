//! Records that a repository was renamed, transferred or deleted. Its id does not change, so every link stays valid.

use super::facts::ProjectScope;
use crate::allowed_names::check_integration_use;
use crate::forge::forge_client;
use crate::poll::update_poll::update_poll;
use crate::{Context, Error};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::{Integration, scheme_and_host};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{IntegrationId, RepositoryName};
use pullyard_domain::text::time::Timestamp;
use pullyard_forge::webhook::{RepositoryChange, RepositoryEvent};
use pullyard_store::Write;

/// Records a change of a repository. Reads its name from the forge, because a late delivery has an old name.
/// Idempotent: a recorded state stays; a deletion has the time of its latest report.
/// Errors: `Forge` if it does not answer; the delivery is then requested again.
pub(crate) async fn record_repository_change(
    ctx: &Context,
    scope: &ProjectScope,
    integration: &IntegrationId,
    event: &RepositoryEvent,
) -> Result<Reason, Error> {
    let id = event.repository.id;
    let outcome = match event.change {
        RepositoryChange::Deleted | RepositoryChange::MaybeDeleted => "deleted",
        RepositoryChange::Transferred => "transferred",
        RepositoryChange::Renamed => "renamed",
    };
    let mut is_connected = false;
    for project in scope.projects() {
        let Some(stored) = ctx.store.load_repository(project, integration, id).await? else { continue };
        is_connected = true;
        match event.change {
            RepositoryChange::Deleted => mark_gone(ctx, &stored, ctx.clock.now()).await?,
            // The delivery may be late or wrong, so the forge's state decides.
            RepositoryChange::MaybeDeleted | RepositoryChange::Renamed | RepositoryChange::Transferred => {
                refresh_repository(ctx, stored, &event.repository.full_name).await?;
            }
        }
    }
    let event = format!("repository.{outcome} of {}", pullyard_domain::text::truncate(&event.repository.full_name, 60));
    Ok(match is_connected {
        true => Reason::Noted { event },
        false => Reason::EventIgnored { event },
    })
}

async fn refresh_repository(ctx: &Context, stored: Repository, name: &str) -> Result<(), Error> {
    let integration = ctx.load_integration(&stored.integration).await?;
    if check_integration_use(&integration, &stored.project).is_err() {
        // The event also concerns other projects, which may use the integration.
        return Ok(());
    }
    let forge = forge_client(ctx, &integration, &stored).await?;
    let requested_at = ctx.clock.now();
    let found = match forge.repository(name).await {
        // A forge without redirects may not know the event's name. If another repository has the stored name, this one
        // is gone.
        Err(pullyard_forge::Error::NotFound { .. }) if stored.name.as_str() != name => {
            match forge.repository(stored.name.as_str()).await {
                Ok(found) if found.id != stored.id => {
                    return mark_gone(ctx, &stored, requested_at).await;
                }
                found => found,
            }
        }
        found => found,
    };
    let found = match found {
        Ok(found) => found,
        // Transferred to an owner without access for Pullyard, or deleted: keep the stored data for display.
        Err(pullyard_forge::Error::NotFound { .. }) => {
            return mark_gone(ctx, &stored, requested_at).await;
        }
        Err(error) => return Err(error.into()),
    };
    if found.id != stored.id {
        return Ok(());
    }
    store_changes(ctx, stored.clone(), &found).await?;
    clear_gone(ctx, &stored, requested_at).await
}

/// Stores a new name from a forge's answer, because the rename event may be lost and the old name may be reused.
/// Idempotent: a recorded name stays.
/// Errors: `Forge`, also for a 404 under the new name: only an event reports a deletion. The next poll tries again.
pub(crate) async fn update_repository_name(
    ctx: &Context,
    scope: &ProjectScope,
    integration: &Integration,
    stored: &Repository,
    name: &str,
) -> Result<(), Error> {
    if stored.name.as_str() == name {
        return Ok(());
    }
    let found = forge_client(ctx, integration, stored).await?.repository(name).await?;
    if found.id != stored.id {
        return Ok(());
    }
    update_repository(ctx, scope, stored, &found).await
}

/// Updates the repository in each project of the scope from the forge's answer.
/// Idempotent: unchanged data is not written.
pub(crate) async fn update_repository(
    ctx: &Context,
    scope: &ProjectScope,
    stored: &Repository,
    found: &pullyard_forge::Repository,
) -> Result<(), Error> {
    for project in scope.projects() {
        if let Some(existing) = ctx.store.load_repository(project, &stored.integration, stored.id).await? {
            store_changes(ctx, existing, found).await?;
        }
    }
    Ok(())
}

async fn store_changes(
    ctx: &Context,
    mut stored: Repository,
    at_forge: &pullyard_forge::Repository,
) -> Result<(), Error> {
    let name = RepositoryName::new(&at_forge.full_name)?;
    let mut rounds = ctx.retries(&name);
    loop {
        let next = Repository {
            name: name.clone(),
            default_branch: at_forge.default_branch.clone(),
            // Only on the same host, because git sends the token there.
            clone_url: match is_same_host(&stored.clone_url, &at_forge.clone_url) {
                true => at_forge.clone_url.clone(),
                false => stored.clone_url.clone(),
            },
            ..stored.clone()
        };
        if next == stored {
            return Ok(());
        }
        if ctx.store.rename_repository(&stored, &next).await? == Write::Applied {
            let (from, branch) = (&stored.name, &next.default_branch);
            tracing::info!(project = %next.project, %from, repository = %next.name, %branch, "repository changed");
            return Ok(());
        }
        rounds.backoff().await?;
        match ctx.store.load_repository(&stored.project, &stored.integration, stored.id).await? {
            Some(again) => stored = again,
            None => return Ok(()),
        }
    }
}

/// Marks a repository as gone. It stays connected, because old jobs refer to it.
async fn mark_gone(ctx: &Context, repository: &Repository, since: Timestamp) -> Result<(), Error> {
    update_poll(ctx, repository, |poll, _| poll.mark_gone(since)).await.map(drop)
}

/// Clears the mark after the forge returned the repository, unless the mark is newer than the request (`requested_at`).
pub(crate) async fn clear_gone(ctx: &Context, repository: &Repository, requested_at: Timestamp) -> Result<(), Error> {
    update_poll(ctx, repository, |poll, now| poll.mark_present(requested_at, now)).await.map(drop)
}

fn is_same_host(one: &str, other: &str) -> bool {
    let host = scheme_and_host(one);
    host.is_some() && host == scheme_and_host(other)
}
