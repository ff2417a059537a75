//! A forge is disconnected.
//!
//! What is looked for before keeps people from disconnecting what is in use. A repository that is connected, or a job
//! that is made, in the same moment names a forge that is gone; the forge connected again under its name mends that.
//! No other one is ever connected under it.

use crate::remove_repository::kept_by_unreadable;
use crate::{Context, Error};
use pullyard_domain::denial::Denial;
use pullyard_domain::id::{IntegrationId, ProjectId};
use pullyard_domain::project::Integration;
use pullyard_domain::removal::{forge_kept_by_hook, forge_kept_by_job, forge_kept_by_repository};
use pullyard_store::Write;

/// How many of each project's newest jobs are looked at: those of repositories that are there need no look, and of one
/// that was removed its removal looked at more.
const MOST_JOBS: usize = 200;

/// How many projects, jobs or hooks are looked at together.
const TOGETHER: i32 = 100;

/// Disconnects a forge; there, and of its secrets, nothing changes.
///
/// Writes: as `Store::remove_integration` does.
/// Idempotent: one that is gone is `NotFound`, and nothing of it is left.
/// Errors: `NotFound`; `Denied` while a repository, a hook or a job that has not ended is of it, and while one of them
/// can't be read; `Contended`.
pub async fn remove_integration(ctx: &Context, id: &IntegrationId) -> Result<Integration, Error> {
    let mut rounds = ctx.rounds(id);
    loop {
        let Some(integration) = ctx.store.integration(id).await? else {
            return Err(Error::NotFound { what: "integration", name: id.to_string() });
        };
        if let Some(denial) = kept(ctx, id).await.or_else(|error| kept_by_unreadable(error, id.as_str()))? {
            return Err(Error::Denied(denial));
        }
        if ctx.store.remove_integration(&integration).await? == Write::Applied {
            tracing::info!(integration = %id, "a forge is disconnected");
            return Ok(integration);
        }
        rounds.again().await?;
    }
}

/// What keeps it, as far as the lists tell: they may lag behind what was written a moment ago. A repository first: most
/// that is in the way goes with it.
async fn kept(ctx: &Context, forge: &IntegrationId) -> Result<Option<Denial>, Error> {
    let projects = projects(ctx).await?;
    for project in &projects {
        let all = ctx.store.repositories(project).await?;
        if let Some(denial) = all.iter().find_map(|repository| forge_kept_by_repository(forge, repository)) {
            return Ok(Some(denial));
        }
    }
    if let Some(denial) = hook_of(ctx, forge).await? {
        return Ok(Some(denial));
    }
    for project in &projects {
        if let Some(denial) = job_of(ctx, project, forge).await? {
            return Ok(Some(denial));
        }
    }
    Ok(None)
}

async fn projects(ctx: &Context) -> Result<Vec<ProjectId>, Error> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let (ids, next) = ctx.store.project_ids(after.as_deref(), TOGETHER).await?;
        all.extend(ids);
        if next.is_none() {
            return Ok(all);
        }
        after = next;
    }
}

async fn hook_of(ctx: &Context, forge: &IntegrationId) -> Result<Option<Denial>, Error> {
    let mut after: Option<String> = None;
    loop {
        let (names, next) = ctx.store.hook_names(after.as_deref(), TOGETHER).await?;
        for name in names {
            let hook = ctx.store.hook(&name).await?;
            if let Some(denial) = hook.and_then(|hook| forge_kept_by_hook(forge, &hook)) {
                return Ok(Some(denial));
            }
        }
        if next.is_none() {
            return Ok(None);
        }
        after = next;
    }
}

async fn job_of(ctx: &Context, project: &ProjectId, forge: &IntegrationId) -> Result<Option<Denial>, Error> {
    let (mut after, mut looked_at): (Option<String>, usize) = (None, 0);
    loop {
        let (ids, older) = ctx.store.job_ids(project, after.as_deref(), TOGETHER).await?;
        looked_at += ids.len();
        let jobs = ctx.store.jobs(&ids).await?;
        let denial = jobs.iter().find_map(|job| forge_kept_by_job(forge, job));
        if denial.is_some() || older.is_none() || looked_at >= MOST_JOBS {
            return Ok(denial);
        }
        after = older;
    }
}
