//! Lists a project's jobs by filter, page by page.

use crate::jobs::views::{JobView, load_view};
use crate::runner::WaitExplainer;
use crate::{Context, Error};
use pullyard_domain::id::ProjectId;
use pullyard_domain::listing::JobFilter;
use pullyard_domain::time::Timestamp;

pub(crate) const MAX_JOBS_READ: usize = 500;

const PAGE_SIZE: usize = 100;

#[derive(Clone, Debug)]
pub struct JobList {
    pub jobs: Vec<JobView>,
    pub next: Option<String>,
    /// Creation time of the oldest job read. This page has all matches back to it.
    pub oldest_read: Option<Timestamp>,
}

/// Reads at most 500 jobs, then returns how far back it read and a cursor.
/// Errors: `BadCursor` for a cursor that this version did not issue.
pub async fn list_jobs(
    ctx: &Context,
    project: &ProjectId,
    filter: &JobFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<JobList, Error> {
    let together = if filter.is_time_range_only() { limit } else { PAGE_SIZE };
    let (mut jobs, mut next, mut oldest_read) = (Vec::new(), after.map(str::to_owned), None);
    let mut looked_at = 0;
    let mut waits = WaitExplainer::default();
    while jobs.len() < limit && looked_at < MAX_JOBS_READ {
        let page = together.min(MAX_JOBS_READ - looked_at);
        let (since, until) = (filter.since, filter.until);
        let (ids, older) = ctx.store.list_job_ids_between(project, since, until, next.as_deref(), page).await?;
        looked_at += page;
        next = older;
        let found = ctx.store.load_jobs(&ids).await?;
        let last = found.len();
        for (number, job) in found.into_iter().enumerate() {
            oldest_read = Some(job.created);
            if !filter.matches(&job) {
                continue;
            }
            let cursor = ctx.store.cursor_after(&job);
            jobs.push(load_view(ctx, job, &mut waits).await?);
            if jobs.len() == limit {
                if number + 1 < last {
                    next = Some(cursor);
                }
                break;
            }
        }
        if next.is_none() {
            break;
        }
    }
    Ok(JobList { jobs, next, oldest_read })
}
