//! Disconnects a forge, unless a repository, a hook or an active job uses it. A check may miss a concurrent write;
//! then reconnecting the forge under its name repairs everything, and no other forge can get that name.

use crate::admin::removal::{check_hooks, check_jobs};
use crate::{Context, Error};
use pullyard_domain::project::forge::Integration;
use pullyard_domain::review::removal::{
    deny_disconnect_for_hook, deny_disconnect_for_job, deny_disconnect_for_repository,
};
use pullyard_domain::text::id::IntegrationId;
use pullyard_store::Write;

/// Newest jobs checked per project. Older jobs were checked when their repository was removed.
const MAX_JOBS: usize = 200;

/// Writes: see `Store::remove_integration`.
/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound`; `Contended`; `Denied` while a repository, hook or active job uses the forge or is unreadable.
pub async fn remove_integration(ctx: &Context, id: &IntegrationId) -> Result<Integration, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let integration = ctx.load_integration(id).await?;
        check_unused(ctx, id).await?;
        if ctx.store.remove_integration(&integration).await? == Write::Applied {
            tracing::info!(integration = %id, "forge disconnected");
            return Ok(integration);
        }
        rounds.backoff().await?;
    }
}

/// Repositories come first, because removing them removes most other uses.
async fn check_unused(ctx: &Context, forge: &IntegrationId) -> Result<(), Error> {
    let projects = ctx.store.list_all_project_ids().await?;
    for project in &projects {
        let all = ctx.store.list_repositories(project).await?;
        Error::refuse_if(all.iter().find_map(|repository| deny_disconnect_for_repository(forge, repository)))?;
    }
    check_hooks(ctx, |hook| deny_disconnect_for_hook(forge, hook)).await?;
    for project in &projects {
        check_jobs(ctx, project, MAX_JOBS, |job| deny_disconnect_for_job(forge, job)).await?;
    }
    Ok(())
}
