//! Skips items of the table that this version cannot parse, so that such an item does not hide the others.

use crate::counters::Counter;
use crate::{Context, Error};
use pullyard_domain::project::Project;
use pullyard_domain::project::tracker::Tracker;
use pullyard_domain::text::id::{IntegrationId, ProjectId};
use pullyard_store::Error as StoreError;

/// `None` for an item that this version cannot parse; it is logged and counted.
/// Errors: every other error.
pub(crate) fn skip_corrupt<T>(ctx: &Context, loaded: Result<T, impl Into<Error>>) -> Result<Option<T>, Error> {
    match loaded.map_err(Into::into) {
        Err(Error::Store(error @ StoreError::Corrupt { .. })) => {
            ctx.counters().add(Counter::ItemCorrupt);
            tracing::error!(error = %error, "unreadable table item skipped");
            Ok(None)
        }
        loaded => loaded.map(Some),
    }
}

/// The items of a batch that this version can parse.
pub(crate) fn skip_corrupt_items<T>(ctx: &Context, loaded: Vec<Result<T, StoreError>>) -> Result<Vec<T>, Error> {
    loaded.into_iter().filter_map(|item| skip_corrupt(ctx, item).transpose()).collect()
}

/// Omits missing projects and those that this version cannot parse.
pub async fn load_readable_projects(ctx: &Context, ids: &[ProjectId]) -> Result<Vec<Project>, Error> {
    skip_corrupt_items(ctx, ctx.store.load_projects(ids).await?)
}

/// The projects that this version can parse.
pub(crate) async fn load_all_projects(ctx: &Context) -> Result<Vec<Project>, Error> {
    load_readable_projects(ctx, &ctx.store.list_all_project_ids().await?).await
}

/// `None` also for a connection that a newer version made.
pub(crate) async fn load_readable_tracker(ctx: &Context, id: &IntegrationId) -> Result<Option<Tracker>, Error> {
    Ok(skip_corrupt(ctx, ctx.store.load_tracker(id).await)?.flatten())
}
