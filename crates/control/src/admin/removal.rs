//! Shared checks before a removal. The lists that they read may lag behind recent writes.

use crate::jobs::search_jobs::read_newest_jobs;
use crate::{Context, Error};
use pullyard_domain::denial::Denial;
use pullyard_domain::hook::Webhook;
use pullyard_domain::id::ProjectId;
use pullyard_domain::job::Job;
use pullyard_domain::listing::JobFilter;

pub(crate) const PAGE_SIZE: i32 = 100;

/// Checks at most `limit` of the project's newest jobs. An older suspended job is missed and can still continue.
pub(crate) async fn find_use_by_jobs(
    ctx: &Context,
    project: &ProjectId,
    limit: usize,
    keeps: impl Fn(&Job) -> Option<Denial>,
) -> Result<Option<Denial>, Error> {
    let newest = read_newest_jobs(ctx, project, &JobFilter::default(), None, limit).await?;
    Ok(newest.jobs.iter().find_map(keeps))
}

pub(crate) async fn find_use_by_hooks(
    ctx: &Context,
    keeps: impl Fn(&Webhook) -> Option<Denial>,
) -> Result<Option<Denial>, Error> {
    for name in ctx.store.list_all_hook_names().await? {
        let hook = ctx.store.load_hook(&name).await?;
        if let Some(denial) = hook.as_ref().and_then(&keeps) {
            return Ok(Some(denial));
        }
    }
    Ok(None)
}
