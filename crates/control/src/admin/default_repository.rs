//! Makes the first repository of a project its default.

use crate::admin::projects::set_settings;
use crate::{Context, Error};
use pullyard_domain::project::naming::ProjectChange;
use pullyard_domain::text::id::ProjectId;

/// Makes the project's only repository its default, if the project has none.
/// Idempotent. A concurrent change of the settings wins.
/// Errors: `NotFound`; `Store`.
pub async fn make_only_repository_default(ctx: &Context, project: &ProjectId) -> Result<(), Error> {
    let stored = ctx.load_project(project).await?;
    let repositories = ctx.store.list_repositories(project).await?;
    let Some(settings) = stored.settings.with_only_repository(&repositories) else { return Ok(()) };
    match set_settings(ctx, ProjectChange::by_operator(project), settings, stored.rev).await {
        Ok(_) | Err(Error::RevisionMismatch { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
