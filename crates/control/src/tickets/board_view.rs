//! Reads the board, and the jobs of one ticket.

use crate::jobs::search_jobs::{read_newest_jobs, search_jobs};
use crate::jobs::views::{JobView, job_view, load_view};
use crate::runner::WaitExplainer;
use crate::tickets::views::{TicketView, ticket_views};
use crate::{Context, Error};
use pullyard_domain::job::JobStatus;
use pullyard_domain::review::listing::{JobFilter, JobSearch};
use pullyard_domain::text::id::ProjectId;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;

#[derive(Clone, Debug)]
pub struct Card {
    pub view: TicketView,
    /// The active job, or the newest one if the ticket shows its failure.
    pub job: Option<JobView>,
}

#[derive(Clone, Debug)]
pub struct BoardView {
    pub cards: Vec<Card>,
    pub next: Option<String>,
    pub now: Timestamp,
}

/// Failures are searched among this many of the project's newest jobs.
const MAX_FAILURES_READ: usize = 100;

pub async fn load_board(
    ctx: &Context,
    project: &ProjectId,
    after: Option<&str>,
    limit: i32,
) -> Result<BoardView, Error> {
    let (views, next) = ticket_views(ctx, project, after, limit).await?;
    let mut cards = Vec::with_capacity(views.len());
    let mut waits = WaitExplainer::default();
    // A job that failed before an agent worked is not the last job of its ticket.
    let newest = match views.iter().any(|view| view.ticket.is_failed()) {
        true => read_newest_jobs(ctx, project, &JobFilter::default(), None, MAX_FAILURES_READ).await?.jobs,
        false => Vec::new(),
    };
    for ticket in views {
        let Ticket { key, active_job, last_job, shown, .. } = &ticket.ticket;
        let newest = newest.iter().find(|job| job.ticket.as_ref() == Some(key));
        let newest = newest.filter(|job| job.status == JobStatus::Failed).map(|job| &job.id);
        let failed = newest.or(last_job.as_ref().map(|last| &last.id)).filter(|_| shown.badge.is_some());
        let job = match active_job.as_ref().or(failed) {
            Some(id) => ctx.store.load_job(id).await?,
            None => None,
        };
        let job = match job {
            Some(job) => Some(load_view(ctx, job, &mut waits).await?),
            None => None,
        };
        cards.push(Card { view: ticket, job });
    }
    Ok(BoardView { cards, next, now: ctx.clock.now() })
}

const MAX_JOBS: usize = 20;

/// Lists a ticket's jobs: those among the project's newest 500, the active one and the last ended one.
pub async fn list_jobs_of_ticket(ctx: &Context, ticket: &Ticket) -> Result<Vec<JobView>, Error> {
    let filter = JobFilter { ticket: Some(ticket.key.clone()), ..JobFilter::default() };
    let mine = JobSearch { filter, ..JobSearch::default() };
    let found = search_jobs(ctx, &ticket.project, &mine, None, MAX_JOBS).await?.jobs;
    let mut views: Vec<_> = found.into_iter().map(|found| found.view).collect();
    for id in [ticket.active_job.as_ref(), ticket.last_job.as_ref().map(|last| &last.id)].into_iter().flatten() {
        if views.iter().any(|view| view.job.id == *id) {
            continue;
        }
        match job_view(ctx, id).await {
            Ok(view) => views.push(view),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    views.sort_by_key(|view| std::cmp::Reverse(view.job.created));
    Ok(views)
}
