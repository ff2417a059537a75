//! Searches a project's newest jobs, with totals of all matches.

use crate::jobs::views::{JobText, JobView, load_text, to_view};
use crate::runner::WaitExplainer;
use crate::{Context, Error};
use futures::{StreamExt as _, TryStreamExt as _};
use pullyard_domain::id::ProjectId;
use pullyard_domain::job::Job;
use pullyard_domain::listing::{JobFilter, JobSearch, JobTotals};
use pullyard_domain::time::Timestamp;

pub(crate) const MAX_JOBS_READ: usize = 500;

const PAGE_SIZE: usize = 100;

const CONCURRENT_READS: usize = 16;

#[derive(Clone, Debug)]
pub struct FoundJob {
    pub view: JobView,
    pub agent: Option<String>,
}

#[derive(Clone, Debug)]
pub struct FoundJobs {
    pub jobs: Vec<FoundJob>,
    /// Totals of all matches that were read, also of those beyond the limit.
    pub totals: JobTotals,
    pub next: Option<String>,
    pub oldest_read: Option<Timestamp>,
}

/// Reads 500 jobs and returns the first `limit` matches. An empty search reads only `limit` jobs.
/// Errors: `BadCursor` for a cursor that this version did not issue.
pub async fn search_jobs(
    ctx: &Context,
    project: &ProjectId,
    search: &JobSearch,
    after: Option<&str>,
    limit: usize,
) -> Result<FoundJobs, Error> {
    let most = if search.is_empty() { limit } else { MAX_JOBS_READ };
    let NewestJobs { jobs, mut next } = read_newest_jobs(ctx, project, &search.filter, after, most).await?;
    let oldest_read = jobs.last().map(|job| job.created);
    let mut found = find_matches(ctx, search, jobs).await?;
    let mut totals = JobTotals::default();
    found.iter().for_each(|(job, _)| totals.add(job));
    if found.len() > limit {
        found.truncate(limit);
        next = found.last().map(|(job, _)| ctx.store.cursor_after(job));
    }
    let (mut jobs, mut waits) = (Vec::with_capacity(found.len()), WaitExplainer::default());
    for (job, text) in found {
        let text = match text {
            Some(text) => text,
            None => load_text(ctx, &job).await?,
        };
        let agent = text.agent.clone();
        jobs.push(FoundJob { view: to_view(ctx, job, text, &mut waits).await?, agent });
    }
    Ok(FoundJobs { jobs, totals, next, oldest_read })
}

/// Matches with their texts, as far as the search needed these.
async fn find_matches(ctx: &Context, search: &JobSearch, jobs: Vec<Job>) -> Result<Vec<(Job, Option<JobText>)>, Error> {
    let jobs = jobs.into_iter().filter(|job| search.matches_job(job));
    if !search.needs_text() {
        return Ok(jobs.map(|job| (job, None)).collect());
    }
    let texts = futures::stream::iter(jobs).map(async |job| {
        let text = load_text(ctx, &job).await?;
        let matches = search.matches_text(&job, &text.title, text.agent.as_deref());
        Ok::<_, Error>(matches.then_some((job, Some(text))))
    });
    let found: Vec<_> = texts.buffered(CONCURRENT_READS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

pub(crate) struct NewestJobs {
    pub(crate) jobs: Vec<Job>,
    pub(crate) next: Option<String>,
}

/// At most `most` jobs that were created in the filter's time range, newest first. `since` is no condition of the
/// query: it advances between two pages, and a cursor before it would be refused.
pub(crate) async fn read_newest_jobs(
    ctx: &Context,
    project: &ProjectId,
    filter: &JobFilter,
    after: Option<&str>,
    most: usize,
) -> Result<NewestJobs, Error> {
    let (mut jobs, mut next, mut looked_at) = (Vec::new(), after.map(str::to_owned), 0);
    while looked_at < most {
        let page = PAGE_SIZE.min(most - looked_at);
        let (ids, older) = ctx.store.list_job_ids(project, filter.until, next.as_deref(), page).await?;
        looked_at += page;
        next = older;
        jobs.extend(ctx.store.load_jobs(&ids).await?);
        if filter.since.is_some_and(|since| jobs.last().is_some_and(|job| job.created < since)) {
            jobs.retain(|job| filter.since.is_none_or(|since| since <= job.created));
            next = None;
        }
        if next.is_none() {
            break;
        }
    }
    Ok(NewestJobs { jobs, next })
}
