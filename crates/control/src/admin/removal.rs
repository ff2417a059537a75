//! Shared checks before a removal. The lists that they read may lag behind recent writes.

use crate::jobs::search_jobs::read_newest_jobs;
use crate::{Context, Error};
use pullyard_domain::job::Job;
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::review::listing::JobFilter;
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::ProjectId;

pub(crate) const PAGE_SIZE: i32 = 100;

/// Checks at most `limit` of the project's newest jobs. An older suspended job is missed and can still continue.
/// Errors: `Denied` for the first job that `deny` refuses.
pub(crate) async fn check_jobs(
    ctx: &Context,
    project: &ProjectId,
    limit: usize,
    deny: impl Fn(&Job) -> Option<Denial>,
) -> Result<(), Error> {
    let newest = read_newest_jobs(ctx, project, &JobFilter::default(), None, limit).await?;
    Error::refuse_if(newest.jobs.iter().find_map(deny))
}

/// Errors: `Denied` for the first hook that `deny` refuses.
pub(crate) async fn check_hooks(ctx: &Context, deny: impl Fn(&Webhook) -> Option<Denial>) -> Result<(), Error> {
    for name in ctx.store.list_all_hook_names().await? {
        Error::refuse_if(ctx.store.load_hook(&name).await?.as_ref().and_then(&deny))?;
    }
    Ok(())
}
