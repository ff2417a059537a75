//! Removes a repository from its project, unless a job, pull request or hook uses it.
//! The checks are best effort: a job that they miss continues with its frozen context.

use crate::admin::removal::{PAGE_SIZE, check_hooks, check_jobs};
use crate::{Context, Error};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::review::removal::{
    clear_default_repository, deny_for_active_job, deny_for_hook, deny_for_open_pull_request,
};
use pullyard_domain::text::id::{ProjectId, RepositoryName};
use pullyard_store::{RepositoryRemoval, Write};
use std::collections::BTreeSet;

const MAX_JOBS: usize = 2_000;

#[derive(Clone, Debug)]
pub struct RemovedRepository {
    pub repository: Repository,
    pub was_default: bool,
}

/// Writes: see `Store::remove_repository`.
/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound` (project, repository); `Contended`; `Denied` while it has an active job, an open pull request
/// with a ticket, or a hook of its own; `Store` if a job, pull request or hook is unreadable.
pub async fn remove_repository(
    ctx: &Context,
    project: &ProjectId,
    name: &RepositoryName,
) -> Result<RemovedRepository, Error> {
    let mut retries = ctx.retries(name);
    loop {
        let Some(repository) = ctx.store.load_repository_by_name(project, name).await? else {
            return Err(match ctx.store.load_project(project).await? {
                Some(_) => Error::not_found("repository", name),
                None => Error::not_found("project", project),
            });
        };
        check_unused(ctx, &repository).await?;
        // Load the project after the slow checks. The write verifies its `rev` only if its settings change, so it would
        // miss a default repository that was set during the checks.
        let (names, poll, analysis, project_before) = tokio::try_join!(
            ctx.store.list_repository_names(&repository),
            ctx.store.load_poll(project, &repository.integration, repository.id),
            ctx.store.load_analysis(project, &repository.integration, repository.id),
            ctx.store.load_project(project),
        )?;
        let project_after = project_before.and_then(|before| {
            let settings = clear_default_repository(&before.settings, &names)?;
            Some(Project { settings, ..before })
        });
        let removal = RepositoryRemoval {
            repository: &repository,
            names: &names,
            poll: poll.as_ref(),
            analysis: analysis.as_ref(),
            project: project_after.as_ref(),
        };
        if ctx.store.remove_repository(&removal).await? == Write::Applied {
            tracing::info!(project = %project, repository = %repository.name, "repository removed");
            return Ok(RemovedRepository { was_default: project_after.is_some(), repository });
        }
        retries.backoff().await?;
    }
}

async fn check_unused(ctx: &Context, repository: &Repository) -> Result<(), Error> {
    check_jobs(ctx, &repository.project, MAX_JOBS, |job| deny_for_active_job(repository, job)).await?;
    check_pull_requests(ctx, repository).await?;
    check_hooks(ctx, |hook| deny_for_hook(repository, hook)).await
}

async fn check_pull_requests(ctx: &Context, repository: &Repository) -> Result<(), Error> {
    let mut after: Option<String> = None;
    loop {
        let (open, next) = ctx.store.list_open_pull_requests(&repository.project, after.as_deref(), PAGE_SIZE).await?;
        let is_in_repository =
            |id: &PullRequestId| id.integration == repository.integration && id.repository == repository.id;
        let ids: BTreeSet<_> = open.into_iter().map(|(id, _)| id).filter(is_in_repository).collect();
        for pull in ctx.store.load_pull_requests(&ids).await? {
            Error::refuse_if(deny_for_open_pull_request(repository, &pull?))?;
        }
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}
