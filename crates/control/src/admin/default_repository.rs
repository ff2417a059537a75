//! Makes a project's only repository the default of its tickets.

use crate::admin::projects::set_settings;
use crate::{Context, Error};
use pullyard_domain::id::ProjectId;
use pullyard_domain::project::Settings;

/// Idempotent. Writes: PROJECT, if it has one repository and no default. A concurrent change of the settings wins.
/// Errors: `NotFound` (project).
pub async fn default_to_only_repository(ctx: &Context, project: &ProjectId) -> Result<(), Error> {
    let Some(stored) = ctx.store.load_project(project).await? else {
        return Err(Error::NotFound { what: "project", name: project.to_string() });
    };
    let repositories = ctx.store.list_repositories(project).await?;
    let ([only], None) = (repositories.as_slice(), &stored.settings.default_repository) else { return Ok(()) };
    let settings = Settings { default_repository: Some(only.name.clone()), ..stored.settings };
    match set_settings(ctx, project, settings, stored.rev).await {
        Ok(_) | Err(Error::RevisionMismatch { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
