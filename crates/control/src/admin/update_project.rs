//! Changes a project that others may change at the same time.

use crate::allowed_names::check_new_secrets;
use crate::{Context, Error};
use pullyard_domain::project::Project;
use pullyard_domain::project::naming::ProjectChange;
use pullyard_domain::text::id::ProjectId;
use pullyard_store::Write;

/// Writes: PROJECT if `rev` is unchanged and `change` changes it.
pub(crate) async fn update_project(
    ctx: &Context,
    id: &ProjectId,
    change: impl Fn(Project) -> Result<Project, Error>,
) -> Result<Project, Error> {
    update_project_names(ctx, ProjectChange::by_operator(id), change).await
}

/// Like `update_project`, for a change that may name secrets.
/// Writes: PROJECT if `rev` is unchanged and the lists of new names still have the project.
/// Errors: `NotListed`.
pub(crate) async fn update_project_names(
    ctx: &Context,
    by: ProjectChange<'_>,
    change: impl Fn(Project) -> Result<Project, Error>,
) -> Result<Project, Error> {
    let id = by.project;
    let mut rounds = ctx.retries(id);
    loop {
        let project = ctx.load_project(id).await?;
        let changed = change(project.clone())?;
        if changed == project {
            return Ok(project);
        }
        let listing = check_new_secrets(ctx, by, &project.settings, &changed.settings).await?;
        if ctx.store.put_project_with_names(&changed, &listing).await? == Write::Applied {
            return Ok(Project { rev: changed.rev + 1, ..changed });
        }
        rounds.backoff().await?;
    }
}
