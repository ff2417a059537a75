//! Loads the data of a project's overview from its newest jobs and runs.

use crate::jobs::search_jobs::{MAX_JOBS_READ, NewestJobs, read_newest_jobs};
use crate::jobs::views::{JobView, load_pull_request_states, load_view};
use crate::runner::WaitExplainer;
use crate::runs::list_runs;
use crate::{Context, Error};
use futures::future::try_join_all;
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::project::budget::Day;
use pullyard_domain::review::listing::JobFilter;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::run::Run;
use pullyard_domain::text::id::ProjectId;
use pullyard_domain::text::time::Timestamp;
use std::collections::BTreeSet;

/// Most jobs of one kind that the overview shows in full.
const MAX_SHOWN: usize = 20;

const MAX_PULL_REQUESTS: usize = 5;

const MAX_RUNS_READ: usize = 20;

#[derive(Clone, Debug)]
pub struct Overview {
    /// The newest jobs, at most 500.
    pub jobs: Vec<Job>,
    /// Creation time of the oldest loaded job, if older jobs exist.
    pub back_to: Option<Timestamp>,
    /// Jobs that wait for an answer, longest first.
    pub asking: Vec<JobView>,
    /// The runs that ask a user, among the newest 20.
    pub asking_runs: Vec<Run>,
    /// Failed jobs without a later job for their ticket.
    pub failed: Vec<JobView>,
    /// Jobs that have not ended and wait for no answer, running ones first.
    pub unfinished: Vec<JobView>,
    pub pull_requests: Vec<(JobView, PullRequestState)>,
    /// Pull requests of jobs that ended today (UTC), and how many of these are merged.
    pub today: PullRequestCount,
    pub now: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullRequestCount {
    pub all: usize,
    pub merged: usize,
}

pub async fn load_overview(ctx: &Context, project: &ProjectId) -> Result<Overview, Error> {
    let NewestJobs { jobs, next } = read_newest_jobs(ctx, project, &JobFilter::default(), None, MAX_JOBS_READ).await?;
    let (now, mut waits) = (ctx.clock.now(), WaitExplainer::default());
    let back_to = next.and(jobs.last()).map(|job| job.created);
    let (mut asking, mut unfinished): (Vec<_>, Vec<_>) =
        jobs.iter().filter(|job| !job.status.is_terminal()).partition(|job| job.status == JobStatus::AwaitingInput);
    asking.sort_by_key(|job| job.question.as_ref().map(|question| question.at));
    unfinished.sort_by_key(|job| (!job.status.is_active(), job.created));
    let failed = find_unresolved_failures(ctx, &jobs).await?;
    let (latest, today) = find_pull_requests(ctx, &jobs, Day::containing(now).start()).await?;
    let is_asking = |run: &Run| now < run.wall_end() && run.asked_steps().next().is_some();
    let (runs, _) = list_runs(ctx, project, None, MAX_RUNS_READ).await?;
    let mut pull_requests = Vec::with_capacity(latest.len());
    for (job, state) in latest {
        pull_requests.push((load_view(ctx, job.clone(), &mut waits).await?, state));
    }
    Ok(Overview {
        back_to,
        asking: load_views(ctx, &asking, &mut waits).await?,
        asking_runs: runs.into_iter().filter(is_asking).collect(),
        failed: load_views(ctx, &failed, &mut waits).await?,
        unfinished: load_views(ctx, &unfinished, &mut waits).await?,
        pull_requests,
        today,
        now,
        jobs,
    })
}

async fn load_views(ctx: &Context, jobs: &[&Job], waits: &mut WaitExplainer) -> Result<Vec<JobView>, Error> {
    let mut views = Vec::with_capacity(jobs.len().min(MAX_SHOWN));
    for job in jobs.iter().take(MAX_SHOWN) {
        views.push(load_view(ctx, (*job).clone(), waits).await?);
    }
    Ok(views)
}

/// Reads the tickets of at most `MAX_SHOWN` failed jobs. Only the newest job of a ticket counts.
async fn find_unresolved_failures<'a>(ctx: &Context, jobs: &'a [Job]) -> Result<Vec<&'a Job>, Error> {
    let mut seen = BTreeSet::new();
    let newest = jobs.iter().filter_map(|job| Some((job, job.ticket.as_ref()?))).filter(|(_, key)| seen.insert(*key));
    let failed: Vec<_> = newest.filter(|(job, _)| job.status == JobStatus::Failed).take(MAX_SHOWN).collect();
    let tickets = failed.iter().map(|(job, key)| ctx.store.load_ticket(&job.project, key));
    let tickets = try_join_all(tickets).await?;
    let unresolved = failed
        .into_iter()
        .zip(tickets)
        .filter_map(|((job, _), ticket)| ticket.is_some_and(|ticket| ticket.is_failed()).then_some(job));
    Ok(unresolved.collect())
}

/// The latest pull requests, and the count of those that a job changed since `midnight`.
async fn find_pull_requests<'a>(
    ctx: &Context,
    jobs: &'a [Job],
    midnight: Timestamp,
) -> Result<(Vec<(&'a Job, PullRequestState)>, PullRequestCount), Error> {
    let mut jobs: Vec<_> = jobs.iter().filter(|job| job.result.is_some()).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.ended_at));
    let mut seen = BTreeSet::new();
    // Jobs that revise a pull request end with the same number.
    jobs.retain(|job| seen.insert((&job.integration, job.repository, job.result.as_ref().map(|result| result.number))));
    let today = jobs.iter().take_while(|job| job.ended_at >= Some(midnight)).count();
    jobs.truncate(today.max(MAX_PULL_REQUESTS));
    let states = load_pull_request_states(ctx, &jobs).await?;
    let state = |job: &Job| states.get(&job.id).copied();
    let merged = jobs.iter().take(today).filter(|job| state(job) == Some(PullRequestState::Merged)).count();
    let latest = jobs.iter().filter_map(|job| Some((*job, state(job)?))).take(MAX_PULL_REQUESTS);
    Ok((latest.collect(), PullRequestCount { all: today, merged }))
}
