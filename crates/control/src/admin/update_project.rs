//! Changes a project that others may change at the same time.

use crate::{Context, Error};
use pullyard_domain::id::ProjectId;
use pullyard_domain::project::Project;
use pullyard_store::Write;

/// Writes: PROJECT if `rev` is unchanged and `change` changes it.
pub(crate) async fn update_project(
    ctx: &Context,
    id: &ProjectId,
    change: impl Fn(Project) -> Result<Project, Error>,
) -> Result<Project, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let project = ctx.load_project(id).await?;
        let changed = change(project.clone())?;
        if changed == project {
            return Ok(project);
        }
        if ctx.store.put_project(&changed).await? == Write::Applied {
            return Ok(Project { rev: changed.rev + 1, ..changed });
        }
        rounds.backoff().await?;
    }
}
