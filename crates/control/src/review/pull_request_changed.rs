//! Records that a pull request was closed, merged or reopened, or that its head moved.

use super::facts::ProjectScope;
use super::freeze_reviews::{cancel_for_closed_pull_request, is_revising};
use crate::jobs::cancel_job::cancel_job;
use crate::jobs::finish_job::{WriteParts, write_end};
use crate::{Context, Error};
use pullyard_domain::job::{Job, TransitionRefusal};
use pullyard_domain::outcome::ticket_after_close;
use pullyard_domain::pull_request::{PullRequest, PullRequestState};
use pullyard_domain::review::PullRequestSnapshot;
use pullyard_domain::ticket::Ticket;
use pullyard_store::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestChange {
    Unlinked,
    Unchanged,
    Recorded,
}

/// Records a pull request's state. If closed, it also ends the revise job in the same write and settles the reviews.
/// Idempotent: ordered by the forge's time. Each call for a closed pull request settles again. After a crash, the end of
/// their hour settles waiting reviews.
pub async fn record_pull_request_change(
    ctx: &Context,
    scope: &ProjectScope,
    snapshot: &PullRequestSnapshot,
) -> Result<PullRequestChange, Error> {
    let mut rounds = ctx.retries(&snapshot.id);
    let (linked, changed) = loop {
        let Some(linked) = ctx.store.load_pull_request(&snapshot.id).await? else {
            return Ok(PullRequestChange::Unlinked);
        };
        if !scope.includes(&linked.project) {
            return Ok(PullRequestChange::Unlinked);
        }
        let Some(mut updated) = linked.merge_forge_state(snapshot.state, &snapshot.head, snapshot.updated_at) else {
            break (linked, PullRequestChange::Unchanged);
        };
        updated.repository_name = Some(snapshot.repository.clone());
        if write_change(ctx, &updated).await? == Write::Applied {
            tracing::info!(pull_request = %snapshot.id, state = snapshot.state.display_name(), "pull request changed");
            break (updated, PullRequestChange::Recorded);
        }
        rounds.backoff().await?;
    };
    if linked.state != PullRequestState::Open {
        wake_waiting_reviews(ctx, &linked).await?;
        end_review(ctx, &linked).await?;
    }
    Ok(changed)
}

/// Cancels the running review of a closed pull request. If a crash prevents it, the runner does not post the review.
async fn end_review(ctx: &Context, linked: &PullRequest) -> Result<(), Error> {
    let Some(job) = &linked.reviews.active_job else { return Ok(()) };
    let because = format!("Its pull request was {}.", linked.state.display_name());
    match cancel_job(ctx, job, "Pullyard", Some(&because)).await {
        // It has ended meanwhile.
        Ok(_) | Err(Error::Denied(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Also writes the end of its job and the move of its ticket: a closed pull request leaves the index of open ones, and no
/// later round finds it.
async fn write_change(ctx: &Context, pull_request: &PullRequest) -> Result<Write, Error> {
    let (PullRequestState::Closed | PullRequestState::Merged, Some(key)) = (pull_request.state, &pull_request.ticket)
    else {
        return Ok(ctx.store.update_pull_request(pull_request).await?);
    };
    let (ticket, project) = tokio::try_join!(
        ctx.store.load_ticket(&pull_request.project, key),
        ctx.store.load_project(&pull_request.project)
    )?;
    let settings = project.map(|project| project.settings).unwrap_or_default();
    let statuses = &settings.statuses;
    let moved = ticket.as_ref().and_then(|ticket| ticket_after_close(pull_request, ticket, statuses));
    let moved = moved.map(|ticket| ticket.mark_synced(&settings));
    let write = match plan_cancel(ctx, pull_request, ticket).await? {
        Some((job, next)) => {
            let write = match next.status.is_terminal() {
                true => {
                    let parts = WriteParts { closed: Some((pull_request, &settings)), ..WriteParts::default() };
                    write_end(ctx, &job, &next, parts, ctx.clock.now()).await?
                }
                false => ctx.store.request_cancel(&next, pull_request, moved.as_ref()).await?,
            };
            if write == Write::Applied {
                tracing::info!(job.id = %job.id, pull_request = %pull_request.id, "job cancelled: its pull request is closed or merged");
            }
            write
        }
        None => match &moved {
            Some(moved) => ctx.store.link_pull_request(pull_request, moved).await?,
            None => ctx.store.update_pull_request(pull_request).await?,
        },
    };
    Ok(write)
}

async fn plan_cancel(ctx: &Context, linked: &PullRequest, ticket: Option<Ticket>) -> Result<Option<(Job, Job)>, Error> {
    let Some(id) = ticket.and_then(|ticket| ticket.active_job) else { return Ok(None) };
    let Some(job) = ctx.store.load_job(&id).await?.filter(|job| is_revising(linked, job)) else { return Ok(None) };
    let now = ctx.clock.now();
    match job.cancel(cancel_for_closed_pull_request(&job, linked.state, now), now) {
        Ok(next) => Ok(Some((job, next))),
        Err(TransitionRefusal::AlreadyDone | TransitionRefusal::WrongStatus(_)) => Ok(None),
        Err(refusal) => Err(Error::from_refusal(refusal, now)),
    }
}

/// Settles waiting reviews now. After a crash here, the end of their hour does it.
async fn wake_waiting_reviews(ctx: &Context, linked: &PullRequest) -> Result<(), Error> {
    let Some(key) = &linked.ticket else { return Ok(()) };
    let mut rounds = ctx.retries(key);
    while let Some(ticket) =
        ctx.store.load_ticket(&linked.project, key).await?.filter(|ticket| ticket.has_deferred(&linked.id))
    {
        let now = ctx.clock.now();
        let due = ticket.deferred.get(&linked.id.to_string()).is_some_and(|opens_at| *opens_at <= now);
        let result = match ticket.defer_review(&linked.id, now).filter(|_| !due) {
            Some(sooner) => ctx.store.update_ticket(&sooner).await?,
            None => Write::Applied,
        };
        if result == Write::Applied {
            ctx.wake_ticket(&linked.project, key).await;
            break;
        }
        rounds.backoff().await?;
    }
    Ok(())
}
