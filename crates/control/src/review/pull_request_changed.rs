//! Records that a pull request was closed, merged or reopened, or that its head moved.

use super::facts::ProjectScope;
use super::freeze_reviews::{cancel_for_closed_pull_request, is_revising};
use crate::jobs::finish_job::{WriteParts, write_end};
use crate::{Context, Error};
use pullyard_domain::job::{Job, TransitionRefusal};
use pullyard_domain::pull_request::{PullRequest, PullRequestState};
use pullyard_domain::review::PullRequestSnapshot;
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
    }
    Ok(changed)
}

/// Also writes the end of its job: a closed pull request leaves the index of open ones, and no later round finds it.
async fn write_change(ctx: &Context, pull_request: &PullRequest) -> Result<Write, Error> {
    let cancel = match pull_request.state {
        PullRequestState::Open => None,
        PullRequestState::Closed | PullRequestState::Merged => plan_cancel(ctx, pull_request).await?,
    };
    match cancel {
        Some((job, next)) => write_cancel(ctx, pull_request, &job, &next).await,
        None => Ok(ctx.store.update_pull_request(pull_request).await?),
    }
}

async fn plan_cancel(ctx: &Context, linked: &PullRequest) -> Result<Option<(Job, Job)>, Error> {
    let Some(key) = &linked.ticket else { return Ok(None) };
    let ticket = ctx.store.load_ticket(&linked.project, key).await?;
    let Some(id) = ticket.and_then(|ticket| ticket.active_job) else { return Ok(None) };
    let Some(job) = ctx.store.load_job(&id).await?.filter(|job| is_revising(linked, job)) else { return Ok(None) };
    let now = ctx.clock.now();
    match job.cancel(cancel_for_closed_pull_request(&job, linked.state, now), now) {
        Ok(next) => Ok(Some((job, next))),
        Err(TransitionRefusal::AlreadyDone | TransitionRefusal::WrongStatus(_)) => Ok(None),
        Err(refusal) => Err(Error::from_refusal(refusal, now)),
    }
}

async fn write_cancel(ctx: &Context, linked: &PullRequest, job: &Job, next: &Job) -> Result<Write, Error> {
    let parts = WriteParts { pull_request: Some(linked), ..WriteParts::default() };
    let write = match next.status.is_terminal() {
        true => write_end(ctx, job, next, parts, ctx.clock.now()).await?,
        false => ctx.store.request_cancel(next, linked).await?,
    };
    if write == Write::Applied {
        tracing::info!(job.id = %job.id, pull_request = %linked.id, "job cancelled: its pull request is closed or merged");
    }
    Ok(write)
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
