//! Lists a project's jobs by filter, page by page.

use crate::jobs::views::{JobView, view};
use crate::runner::Waits;
use crate::{Context, Error};
use pullyard_domain::id::ProjectId;
use pullyard_domain::listing::JobFilter;
use pullyard_domain::time::Timestamp;

const MOST_LOOKED_AT: usize = 500;

const TOGETHER: usize = 100;

#[derive(Clone, Debug)]
pub struct JobList {
    pub jobs: Vec<JobView>,
    pub next: Option<String>,
    /// Creation time of the oldest job read. This page has all matches back to it.
    pub looked_back_to: Option<Timestamp>,
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
    let together = if filter.is_time_range_only() { limit } else { TOGETHER };
    let (mut jobs, mut next, mut looked_back_to) = (Vec::new(), after.map(str::to_owned), None);
    let mut looked_at = 0;
    let mut waits = Waits::default();
    while jobs.len() < limit && looked_at < MOST_LOOKED_AT {
        let page = together.min(MOST_LOOKED_AT - looked_at);
        let (since, until) = (filter.since, filter.until);
        let (ids, older) = ctx.store.job_ids_between(project, since, until, next.as_deref(), page).await?;
        looked_at += page;
        next = older;
        let found = ctx.store.jobs(&ids).await?;
        let last = found.len();
        for (number, job) in found.into_iter().enumerate() {
            looked_back_to = Some(job.created);
            if !filter.matches(&job) {
                continue;
            }
            let cursor = ctx.store.cursor_after(&job);
            jobs.push(view(ctx, job, &mut waits).await?);
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
    Ok(JobList { jobs, next, looked_back_to })
}
