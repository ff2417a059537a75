//! Searches the newest jobs of a project, and sums up all matches.

use crate::jobs::views::{JobText, JobView, load_text, to_view};
use crate::runner::WaitExplainer;
use crate::{Context, Error};
use futures::{StreamExt as _, TryStreamExt as _};
use pullyard_domain::job::Job;
use pullyard_domain::review::listing::{JobFilter, JobSearch, JobTotals};
use pullyard_domain::text::id::ProjectId;
use pullyard_domain::text::time::Timestamp;

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
    /// Totals of all matches, including those beyond the limit.
    pub totals: JobTotals,
    /// Cursor of the next page.
    pub next: Option<String>,
    /// Creation time of the oldest job that was searched.
    pub oldest_read: Option<Timestamp>,
}

/// Searches 500 jobs and returns the first `limit` matches. An empty search reads only `limit` jobs.
/// Errors: `BadCursor` for a cursor that this version did not issue.
pub async fn search_jobs(
    ctx: &Context,
    project: &ProjectId,
    search: &JobSearch,
    after: Option<&str>,
    limit: usize,
) -> Result<FoundJobs, Error> {
    let count = if search.is_empty() { limit } else { MAX_JOBS_READ };
    let NewestJobs { jobs, mut next } = read_newest_jobs(ctx, project, &search.filter, after, count).await?;
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

/// The matching jobs, newest first. Each has its text if the search had to load it.
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

/// Reads at most `limit` jobs that were created in the filter's time range, newest first. `since` is not part of the
/// query, because it moves on while a user turns pages, and the store refuses a cursor outside the query's range.
pub(crate) async fn read_newest_jobs(
    ctx: &Context,
    project: &ProjectId,
    filter: &JobFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<NewestJobs, Error> {
    let (mut jobs, mut next, mut row_count) = (Vec::new(), after.map(str::to_owned), 0);
    while row_count < limit {
        let page = PAGE_SIZE.min(limit - row_count);
        let (ids, older) = ctx.store.list_job_ids(project, filter.until, next.as_deref(), page).await?;
        row_count += page;
        next = older;
        jobs.extend(ctx.store.load_jobs(&ids).await?);
        if let Some(since) = filter.since
            && jobs.last().is_some_and(|job| job.created < since)
        {
            jobs.retain(|job| since <= job.created);
            next = None;
        }
        if next.is_none() {
            break;
        }
    }
    Ok(NewestJobs { jobs, next })
}
