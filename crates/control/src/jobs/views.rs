//! Views of jobs and tickets, composed of several items.

use crate::corrupt::skip_corrupt;
use crate::runner::WaitExplainer;
use crate::{Context, Error};
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{JobId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::job::Job;
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState, pull_request_label};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::time::Timestamp;
use pullyard_domain::wait::Wait;
use serde::de::DeserializeOwned;
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

#[derive(Clone, Debug)]
pub struct TicketView {
    pub ticket: Ticket,
    pub text: TicketText,
    pub waits: Option<Wait>,
    pub pull_request: Option<PullRequestState>,
}

type LinkedPullRequests = BTreeMap<PullRequestId, PullRequest>;

impl TicketView {
    fn linked_pull_request(&self) -> Option<&PullRequestId> {
        self.ticket.shown.pull_request.as_ref().map(|link| &link.id)
    }
}

#[derive(Clone, Debug)]
pub struct JobEvents<E> {
    /// Attempt, arrival, event; oldest first.
    pub events: Vec<(u32, Timestamp, E)>,
    /// Attempt and number of the last event; the cursor of the next page.
    pub cursor: (u32, u64),
    /// The job has ended, and this page reaches its last event.
    pub is_complete: bool,
    /// The job's revision when they were read.
    pub rev: u64,
}

pub async fn job_view(ctx: &Context, id: &JobId) -> Result<JobView, Error> {
    let job = ctx.load_job(id).await?;
    load_view(ctx, job, &mut WaitExplainer::default()).await
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
    let result = job.result.as_ref()?;
    Some(PullRequestId { integration: job.integration.clone(), repository: job.repository, number: result.number })
}

/// The last known state of a job's pull request. `None` if it is unreadable or now belongs to another project.
pub async fn load_pull_request_state(ctx: &Context, job: &Job) -> Result<Option<PullRequestState>, Error> {
    Ok(load_pull_request_states(ctx, &[job]).await?.remove(&job.id))
}

/// The last known states of the pull requests of these jobs, by job. Omits the same as `load_pull_request_state`.
pub(crate) async fn load_pull_request_states(
    ctx: &Context,
    jobs: &[&Job],
) -> Result<BTreeMap<JobId, PullRequestState>, Error> {
    let linked = load_pull_requests(ctx, jobs.iter().filter_map(|job| result_id(job)).collect()).await?;
    let state_of = |job: &&Job| Some((job.id.clone(), state_in(&linked, &result_id(job)?, &job.project)?));
    Ok(jobs.iter().filter_map(state_of).collect())
}

/// Skips pull requests that are unreadable.
async fn load_pull_requests(ctx: &Context, ids: BTreeSet<PullRequestId>) -> Result<LinkedPullRequests, Error> {
    let mut linked = BTreeMap::new();
    for one in ctx.store.load_pull_requests(&ids).await? {
        linked.extend(skip_corrupt(ctx, one)?.map(|one| (one.id.clone(), one)));
    }
    Ok(linked)
}

/// `None` for a pull request that is unreadable or now belongs to another project.
fn state_in(linked: &LinkedPullRequests, id: &PullRequestId, project: &ProjectId) -> Option<PullRequestState> {
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

pub async fn ticket_view(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<TicketView, Error> {
    let mut view = [load_ticket_with_text(ctx, project, key).await?];
    add_states(ctx, &mut view).await?;
    let [view] = view;
    Ok(view)
}

async fn load_ticket_with_text(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<TicketView, Error> {
    let (ticket, text) =
        tokio::try_join!(ctx.store.load_ticket(project, key), ctx.store.load_ticket_text(project, key))?;
    let ticket = ticket.ok_or_else(|| Error::not_found("ticket", key))?;
    let project = if ticket.held { ctx.store.load_project(project).await? } else { None };
    let waits = project.and_then(|project| ticket.wait_reason(&project, ctx.clock.now()));
    Ok(TicketView { ticket, text: text.map(|stored| stored.text).unwrap_or_default(), waits, pull_request: None })
}

async fn add_states(ctx: &Context, views: &mut [TicketView]) -> Result<(), Error> {
    let ids = views.iter().filter_map(TicketView::linked_pull_request).cloned().collect();
    let linked = load_pull_requests(ctx, ids).await?;
    for view in views {
        let state = view.linked_pull_request().and_then(|id| state_in(&linked, id, &view.ticket.project));
        view.pull_request = state;
    }
    Ok(())
}

pub async fn ticket_views(
    ctx: &Context,
    project: &ProjectId,
    after: Option<&str>,
    limit: i32,
) -> Result<(Vec<TicketView>, Option<String>), Error> {
    let (keys, next) = ctx.store.list_ticket_keys(project, after, limit).await?;
    let mut views = Vec::with_capacity(keys.len());
    for key in keys {
        match load_ticket_with_text(ctx, project, &key).await {
            Ok(view) => views.push(view),
            // The index may lag behind a deletion.
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    add_states(ctx, &mut views).await?;
    Ok((views, next))
}

const MAX_BATCHES: i32 = 20;

/// Events after `cursor` (attempt, number). While the attempt runs, the list ends before a missing batch.
pub async fn list_events<E: DeserializeOwned>(
    ctx: &Context,
    id: &JobId,
    cursor: (u32, u64),
) -> Result<JobEvents<E>, Error> {
    let job = ctx.load_job(id).await?;
    mark_watched(ctx, &job).await;
    let (mut attempt, mut seq) = (cursor.0.max(1), cursor.1);
    let mut events = Vec::new();
    loop {
        let running = attempt == job.attempt && job.status.is_active();
        let batches = ctx.store.list_event_batches::<E>(id, attempt, seq, MAX_BATCHES).await?;
        let full = i32::try_from(batches.len()).is_ok_and(|len| len >= MAX_BATCHES);
        for batch in batches {
            if running && batch.first > seq + 1 {
                break;
            }
            // Batches may overlap; skip numbers that were read before.
            let said_before = usize::try_from((seq + 1).saturating_sub(batch.first)).unwrap_or(usize::MAX);
            seq = seq.max(batch.first + batch.events.len() as u64 - 1);
            let new = batch.events.into_iter().skip(said_before);
            events.extend(new.map(|event| (attempt, batch.at, event)));
        }
        if full || attempt >= job.attempt {
            let end = job.status.is_terminal() && !full;
            return Ok(JobEvents { events, cursor: (attempt, seq), is_complete: end, rev: job.rev });
        }
        (attempt, seq) = (attempt + 1, 0);
    }
}

/// Marks the job as watched, so that its runner sends events sooner. Best effort; the next page repeats it.
pub(crate) async fn mark_watched(ctx: &Context, job: &Job) {
    let Some(until) = job.renew_watch(ctx.clock.now()) else { return };
    if let Err(error) = ctx.store.update_watched_until(&job.id, until).await {
        tracing::warn!(job.id = %job.id, error = %error, "viewer of a job not recorded: {error}");
    }
}
