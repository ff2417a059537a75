//! Retries an ended job.

use crate::answer::Answer;
use crate::jobs::create_job::{JobRequest, create_job};
use crate::jobs::start_analysis::{StartAnalysis, start_analysis};
use crate::requester::Requester;
use crate::review::{PullRequestRef, request_review};
use crate::{Context, Error};
use pullyard_domain::job::{Job, JobKind, check_retryable};
use pullyard_domain::review::ReviewRequest;
use pullyard_domain::review::delivery::Source;
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::{EventId, JobId, RepositoryName};
use std::collections::BTreeSet;

/// Retries a failed or cancelled job with the same instructions and the ticket's current text.
/// Idempotent: with a key, like `create_job`.
/// Errors: `NotFound` (job, ticket), `KeyReused`, `Contended`; `Denied` if the job has not failed.
pub async fn retry_job(ctx: &Context, of: &JobId, caller: &Requester, key: Option<EventId>) -> Result<Answer, Error> {
    let job = ctx.load_job(of).await?;
    if let Some(step) = &job.step {
        return Err(Error::Denied(Denial::JobOfRun { job: job.id.clone(), run: step.run.clone() }));
    }
    if check_retryable(&job).is_err() {
        return Err(Error::Denied(Denial::not_retryable(&job)));
    }
    if job.kind.reviews() {
        return retry_review(ctx, &job, caller, key).await;
    }
    if job.kind == JobKind::Analysis {
        return retry_analysis(ctx, &job, caller, key).await;
    }
    // A revision whose pull request is no longer open is retried as new work.
    let kind = if job.answers_reviews() { JobKind::default() } else { job.kind };
    let request = match ctx.store.load_context(&job.id, &job.context).await? {
        Some(context) => JobRequest {
            project: job.project.clone(),
            kind,
            ticket: job.ticket.clone(),
            instructions: context.instructions,
            repository: Some(context.repository.name.clone()),
            // The default branch may have another name since.
            base: (context.base != context.repository.default_branch).then_some(context.base),
            agent: Some(context.repository.agent.capability),
            model: context.repository.agent.model,
            labels: context.labels,
            priority: context.priority,
            retry_of: Some(job),
        },
        None => JobRequest {
            project: job.project.clone(),
            kind,
            ticket: job.ticket.clone(),
            instructions: None,
            repository: Some(repository_name(ctx, &job).await?),
            base: None,
            agent: None,
            model: None,
            labels: BTreeSet::new(),
            priority: None,
            retry_of: Some(job),
        },
    };
    create_job(ctx, &request, caller, key).await
}

/// Reviews the pull request at its newest commit, and the whole change only if the retried job did.
async fn retry_review(ctx: &Context, job: &Job, caller: &Requester, key: Option<EventId>) -> Result<Answer, Error> {
    let context = ctx.store.load_context(&job.id, &job.context).await?;
    let (Some(pull_request), Some(context)) = (job.pull_request(), context) else {
        return Err(Error::Inconsistent(format!("the review {} has no pull request", job.id)));
    };
    let reference = PullRequestRef {
        project: job.project.clone(),
        repository: repository_name(ctx, job).await?,
        number: pull_request.number,
        integration: Some(pull_request.integration),
    };
    let agent = context.repository.agent;
    let request = ReviewRequest {
        resolve: job.kind == JobKind::Resolve,
        full: context.reviews.as_ref().is_some_and(|pull_request| pull_request.since.is_none()),
        message: context.instructions,
        agent: Some(agent.capability),
        model: agent.model,
        retry_of: Some(job.id.clone()),
        ..ReviewRequest::default()
    };
    request_review(ctx, &reference, request, caller, key.as_ref()).await
}

/// Reads the same kinds of item.
async fn retry_analysis(ctx: &Context, job: &Job, caller: &Requester, key: Option<EventId>) -> Result<Answer, Error> {
    let key = key.map_or_else(|| ctx.clock.ulid(), |key| key.to_string());
    let context = ctx.store.load_context(&job.id, &job.context).await?;
    let start = StartAnalysis {
        project: job.project.clone(),
        integration: job.integration.clone(),
        repository: job.repository,
        what: context.and_then(|context| context.analysis).filter(|plan| plan.named).map(|plan| plan.what),
        request: format!("{} retry {} {key}", caller.id, job.id),
        source: Source::Person,
        retry_of: Some(job.clone()),
    };
    start_analysis(ctx, &start).await
}

/// Finds the repository's name for a job without a context, if necessary through its pull request.
async fn repository_name(ctx: &Context, job: &Job) -> Result<RepositoryName, Error> {
    if let Some(repository) = ctx.store.load_repository(&job.project, &job.integration, job.repository).await? {
        return Ok(repository.name);
    }
    let linked = match job.pull_request() {
        Some(id) => ctx.store.load_pull_request(&id).await?,
        None => None,
    };
    let name = linked.and_then(|linked| linked.repository_name);
    name.ok_or_else(|| Error::not_found("repository", job.repository))
}
