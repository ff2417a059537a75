//! Disconnects a forge. The checks are best effort: after a concurrent write, reconnecting the forge under its name
//! repairs everything, and no other forge can get that name.

use crate::admin::removal::{find_use_by_hooks, find_use_by_jobs};
use crate::{Context, Error};
use pullyard_domain::denial::Denial;
use pullyard_domain::id::IntegrationId;
use pullyard_domain::project::Integration;
use pullyard_domain::removal::{deny_disconnect_for_hook, deny_disconnect_for_job, deny_disconnect_for_repository};
use pullyard_store::Write;

/// Newest jobs checked per project. Older jobs were checked when their repository was removed.
const MOST_JOBS: usize = 200;

/// Writes: see `Store::remove_integration`.
/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound`; `Contended`; `Denied` while a repository, hook or active job uses the forge or is unreadable.
pub async fn remove_integration(ctx: &Context, id: &IntegrationId) -> Result<Integration, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let integration = ctx.load_integration(id).await?;
        if let Some(denial) = find_use(ctx, id).await? {
            return Err(Error::Denied(denial));
        }
        if ctx.store.remove_integration(&integration).await? == Write::Applied {
            tracing::info!(integration = %id, "forge disconnected");
            return Ok(integration);
        }
        rounds.backoff().await?;
    }
}

/// Returns a use of the forge. Repositories come first, because removing them removes most other uses.
async fn find_use(ctx: &Context, forge: &IntegrationId) -> Result<Option<Denial>, Error> {
    let projects = ctx.store.list_all_project_ids().await?;
    for project in &projects {
        let all = ctx.store.list_repositories(project).await?;
        if let Some(denial) = all.iter().find_map(|repository| deny_disconnect_for_repository(forge, repository)) {
            return Ok(Some(denial));
        }
    }
    if let Some(denial) = find_use_by_hooks(ctx, |hook| deny_disconnect_for_hook(forge, hook)).await? {
        return Ok(Some(denial));
    }
    for project in &projects {
        let by_job = find_use_by_jobs(ctx, project, MOST_JOBS, |job| deny_disconnect_for_job(forge, job));
        if let Some(denial) = by_job.await? {
            return Ok(Some(denial));
        }
    }
    Ok(None)
}
