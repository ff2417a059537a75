//! Names a pull request as users do, by its project, repository and number, and loads its repository.

use crate::{Context, Error};
use pullyard_domain::project::Repository;
use pullyard_domain::text::id::{IntegrationId, ProjectId, RepositoryName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestRef {
    pub project: ProjectId,
    pub repository: RepositoryName,
    pub number: u64,
    pub integration: Option<IntegrationId>,
}

pub async fn load_repository(ctx: &Context, reference: &PullRequestRef) -> Result<Repository, Error> {
    ctx.load_project(&reference.project).await?;
    let found = ctx.store.load_repository_by_name(&reference.project, &reference.repository).await?;
    found
        .filter(|found| reference.integration.as_ref().is_none_or(|id| found.integration == *id))
        .ok_or_else(|| Error::not_found("repository", &reference.repository))
}
