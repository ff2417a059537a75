//! The board as people see it, and the jobs of one ticket. Nothing is written here.

use crate::views::{JobView, TicketView, job_view, ticket_views};
use crate::{Context, Error};
use pullyard_domain::id::{JobId, ProjectId};
use pullyard_domain::job::Job;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::time::Timestamp;

/// A ticket with the job that works on it.
#[derive(Clone, Debug)]
pub struct Card {
    /// The ticket with its text.
    pub view: TicketView,
    /// The job that has not ended.
    pub job: Option<Job>,
}

/// One page of a board.
#[derive(Clone, Debug)]
pub struct BoardView {
    /// By key.
    pub cards: Vec<Card>,
    /// Where the next page begins.
    pub next: Option<String>,
    /// When this was read.
    pub now: Timestamp,
}

/// A project's tickets with the jobs that work on them.
pub async fn board_view(
    ctx: &Context,
    project: &ProjectId,
    after: Option<&str>,
    limit: i32,
) -> Result<BoardView, Error> {
    let (views, next) = ticket_views(ctx, project, after, limit).await?;
    let mut cards = Vec::with_capacity(views.len());
    for view in views {
        let job = match &view.ticket.active_job {
            Some(id) => ctx.store.job(id).await?,
            None => None,
        };
        cards.push(Card { view, job });
    }
    Ok(BoardView { cards, next, now: ctx.clock.now() })
}

/// Among how many of a project's newest jobs those of a ticket are looked for.
const NEWEST: i32 = 50;

/// A ticket's jobs, newest first: the one that runs, the last that ended, and those among the project's
/// newest 50. There is no list by ticket.
pub async fn jobs_of_ticket(ctx: &Context, ticket: &Ticket) -> Result<Vec<JobView>, Error> {
    let (ids, _) = ctx.store.job_ids(&ticket.project, None, NEWEST).await?;
    let mut mine: Vec<JobId> = Vec::new();
    for id in ids {
        // The index lags behind; the item decides.
        let job = ctx.store.job(&id).await?;
        if job.is_some_and(|job| job.ticket.as_ref() == Some(&ticket.key)) {
            mine.push(id);
        }
    }
    for id in [&ticket.active_job, &ticket.last_job.as_ref().map(|last| last.id.clone())].into_iter().flatten() {
        if !mine.contains(id) {
            mine.push(id.clone());
        }
    }
    let mut views = Vec::with_capacity(mine.len());
    for id in &mine {
        match job_view(ctx, id).await {
            Ok(view) => views.push(view),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    views.sort_by_key(|view| std::cmp::Reverse(view.job.created));
    Ok(views)
}
