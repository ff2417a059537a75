//! Records that a pull request was closed, merged or reopened, or that its head moved.

use super::facts::{ProjectScope, find_project};
use super::freeze_reviews::{cancel_for_closed_pull_request, is_revising};
use super::snapshot::with_snapshot;
use crate::jobs::cancel_job::cancel_job;
use crate::jobs::finish_job::{WriteParts, write_end};
use crate::{Context, Error};
use pullyard_domain::job::{Job, TransitionRefusal};
use pullyard_domain::review::PullRequestSnapshot;
use pullyard_domain::review::outcome::ticket_after_close;
use pullyard_domain::review::pull_request::{CommitNews, PullRequest, PullRequestState};
use pullyard_domain::ticket::Ticket;
use pullyard_store::Write;
use std::time::Duration;

/// The age until which a pull request counts as newly opened.
const RECENT: Duration = Duration::from_secs(86_400);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestChange {
    Unlinked,
    Unchanged,
    Recorded,
}

/// Records a pull request's state, and the review of its newest commit that the project's setting wants. If closed, it also ends the revise job in the same write and settles the reviews.
/// Idempotent: ordered by the forge's time. Each call for a closed pull request settles again. After a crash, the end of
/// their hour settles waiting reviews.
pub async fn record_pull_request_change(
    ctx: &Context,
    scope: &ProjectScope,
    snapshot: &PullRequestSnapshot,
) -> Result<PullRequestChange, Error> {
    let mut rounds = ctx.retries(&snapshot.id);
    let (linked, changed) = loop {
        let stored = ctx.store.load_pull_request(&snapshot.id).await?;
        if stored.as_ref().is_some_and(|linked| !scope.includes(&linked.project)) {
            return Ok(PullRequestChange::Unlinked);
        }
        let merge =
            |linked: &PullRequest| linked.merge_forge_state(snapshot.state, &snapshot.head, snapshot.updated_at);
        let merged = stored.as_ref().and_then(merge);
        let wanted = Box::pin(want_review(ctx, scope, stored.as_ref(), merged.as_ref(), snapshot)).await?;
        let mut updated = match (wanted.or(merged), stored) {
            (Some(updated), _) => updated,
            (None, Some(linked)) => break (linked, PullRequestChange::Unchanged),
            (None, None) => return Ok(PullRequestChange::Unlinked),
        };
        updated.repository_name = Some(snapshot.repository.clone());
        if updated.state != PullRequestState::Open {
            updated.reviews.automatic.forget();
        }
        if Box::pin(write_change(ctx, &updated)).await? == Write::Applied {
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

/// Returns the pull request with a wanted review, if the project's setting wants one. `stored`: `None` if it is new.
async fn want_review(
    ctx: &Context,
    scope: &ProjectScope,
    stored: Option<&PullRequest>,
    merged: Option<&PullRequest>,
    snapshot: &PullRequestSnapshot,
) -> Result<Option<PullRequest>, Error> {
    let now = ctx.clock.now();
    let is_outdated = stored.is_some_and(|stored| stored.updated_at > Some(snapshot.updated_at));
    if snapshot.state != PullRequestState::Open || snapshot.draft || snapshot.from_fork || is_outdated {
        return Ok(None);
    }
    // Without the other conditions, the new setting would start a review of each open pull request.
    let is_pushed = stored.is_none_or(|stored| merged.is_some_and(|merged| merged.head != stored.head));
    let news = match snapshot.opened_at {
        Some(at) if now.since(at) < RECENT => CommitNews::Opened,
        _ if is_pushed => CommitNews::Pushed,
        _ => return Ok(None),
    };
    let project = match stored {
        Some(stored) => ctx.store.load_project(&stored.project).await?,
        None => find_project(ctx, scope, snapshot).await?,
    };
    let Some(project) = project else { return Ok(None) };
    let new = || PullRequest::new(snapshot.id.clone(), project.id.clone(), None, None);
    let before = merged.or(stored).cloned().unwrap_or_else(new);
    let mut wanting = before.clone();
    wanting.reviews.want(project.settings.review.when, news, &snapshot.head, now);
    Ok((wanting != before).then(|| with_snapshot(&wanting, snapshot)))
}

/// Cancels the running review of a closed pull request. If a crash prevents it, the runner does not post the review.
async fn end_review(ctx: &Context, linked: &PullRequest) -> Result<(), Error> {
    let Some(job) = &linked.reviews.active_job else { return Ok(()) };
    let because = format!("Its pull request was {}.", linked.state.display_name());
    match cancel_job(ctx, job, "Pullyard", Some(&because)).await {
        // The job has ended.
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
