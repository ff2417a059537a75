//! Views of jobs, composed of several items.

use crate::corrupt::{skip_corrupt, skip_corrupt_items};
use crate::runner::WaitExplainer;
use crate::{Context, Error};
use pullyard_domain::job::{AttemptRecord, Job, Placement};
use pullyard_domain::kinds::prompt;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestId, PullRequestState, pull_request_label};
use pullyard_domain::text::id::{JobId, ProjectId, RepositoryName};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::text::wait::Wait;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub struct JobView {
    pub job: Job,
    pub title: String,
    pub repository: Option<RepositoryName>,
    pub revises: Option<RevisedPullRequest>,
    pub waits: Option<Wait>,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisedPullRequest {
    pub number: u64,
    pub label: String,
    pub url: String,
}

pub(crate) type LinkedPullRequests = BTreeMap<PullRequestId, PullRequest>;

pub async fn job_view(ctx: &Context, id: &JobId) -> Result<JobView, Error> {
    let job = ctx.load_job(id).await?;
    load_view(ctx, job, &mut WaitExplainer::default()).await
}

/// The labels that the job's runner must have. Empty for a task, and for a class that this version cannot parse.
pub async fn load_runner_labels(ctx: &Context, job: &Job) -> Result<BTreeSet<String>, Error> {
    if job.place != Placement::Runners {
        return Ok(BTreeSet::new());
    }
    let class = skip_corrupt(ctx, ctx.store.load_class(&job.project, &job.class).await)?.flatten();
    Ok(class.map(|class| class.labels).unwrap_or_default())
}

/// The parts of a view that are stored with a job's context.
#[derive(Clone, Debug)]
pub(crate) struct JobText {
    pub(crate) title: String,
    pub(crate) repository: Option<RepositoryName>,
    /// `None` until the context is frozen.
    pub(crate) agent: Option<String>,
}

pub(crate) async fn load_view(ctx: &Context, job: Job, waits: &mut WaitExplainer) -> Result<JobView, Error> {
    let text = load_text(ctx, &job).await?;
    to_view(ctx, job, text, waits).await
}

pub(crate) async fn to_view(
    ctx: &Context,
    job: Job,
    text: JobText,
    waits: &mut WaitExplainer,
) -> Result<JobView, Error> {
    let now = ctx.clock.now();
    let JobText { title, repository, .. } = text;
    Ok(JobView {
        title,
        revises: load_revised_pull_request(ctx, &job, repository.as_ref()).await?,
        repository,
        waits: waits.explain(ctx, &job, now).await?,
        now,
        job,
    })
}

pub(crate) async fn load_text(ctx: &Context, job: &Job) -> Result<JobText, Error> {
    if let Some(context) = ctx.store.load_context(&job.id, &job.context).await? {
        let (title, repository) = (context.title(), Some(context.repository_name().clone()));
        return Ok(JobText { title, repository, agent: Some(context.repository.agent.capability) });
    }
    let (title, repository) = load_title_and_repository(ctx, job).await?;
    Ok(JobText { title, repository, agent: None })
}

fn result_id(job: &Job) -> Option<PullRequestId> {
    job.result.as_ref().map(|result| result.pull_request(&job.integration, job.repository))
}

/// The last known state of a job's pull request. `None` if it is unreadable or now belongs to another project.
pub async fn load_pull_request_state(ctx: &Context, job: &Job) -> Result<Option<PullRequestState>, Error> {
    Ok(load_pull_request_states(ctx, &[job]).await?.remove(&job.id))
}

/// The last known states of the pull requests of these jobs, by job. Omits the same as `load_pull_request_state`.
pub async fn load_pull_request_states(
    ctx: &Context,
    jobs: &[&Job],
) -> Result<BTreeMap<JobId, PullRequestState>, Error> {
    let linked = load_pull_requests(ctx, jobs.iter().filter_map(|job| result_id(job)).collect()).await?;
    let state_of = |job: &&Job| Some((job.id.clone(), state_in(&linked, &result_id(job)?, &job.project)?));
    Ok(jobs.iter().filter_map(state_of).collect())
}

/// Skips pull requests that are unreadable.
pub(crate) async fn load_pull_requests(
    ctx: &Context,
    ids: BTreeSet<PullRequestId>,
) -> Result<LinkedPullRequests, Error> {
    let pull_requests = skip_corrupt_items(ctx, ctx.store.load_pull_requests(&ids).await?)?;
    Ok(pull_requests.into_iter().map(|pull_request| (pull_request.id.clone(), pull_request)).collect())
}

/// `None` for a pull request that is unreadable or now belongs to another project.
pub(crate) fn state_in(
    linked: &LinkedPullRequests,
    id: &PullRequestId,
    project: &ProjectId,
) -> Option<PullRequestState> {
    linked.get(id).filter(|linked| linked.project == *project).map(|linked| linked.state)
}

async fn load_title_and_repository(ctx: &Context, job: &Job) -> Result<(String, Option<RepositoryName>), Error> {
    let text = match &job.ticket {
        Some(key) => ctx.store.load_ticket_text(&job.project, key).await?,
        None => None,
    };
    let repository = ctx.store.load_repository(&job.project, &job.integration, job.repository).await?;
    Ok((text.map(|stored| stored.text.title).unwrap_or_default(), repository.map(|repository| repository.name)))
}

async fn load_revised_pull_request(
    ctx: &Context,
    job: &Job,
    repository: Option<&RepositoryName>,
) -> Result<Option<RevisedPullRequest>, Error> {
    let Some(id) = job.pull_request() else { return Ok(None) };
    let linked = ctx.store.load_pull_request(&id).await?;
    let url = linked.map(|linked| linked.url).unwrap_or_default();
    Ok(Some(RevisedPullRequest { number: id.number, label: pull_request_label(repository, id.number), url }))
}

pub async fn list_attempts(ctx: &Context, job: &JobId) -> Result<Vec<AttemptRecord>, Error> {
    Ok(ctx.store.list_attempts(job).await?)
}

/// `None` if the job has no output, or none any more.
pub async fn load_output(ctx: &Context, job: &JobId) -> Result<Option<JobOutput>, Error> {
    Ok(ctx.store.load_output(job).await?)
}

pub async fn load_context(ctx: &Context, job: &Job) -> Result<Option<prompt::Context>, Error> {
    Ok(ctx.store.load_context(&job.id, &job.context).await?)
}
