//! A pull request was closed, merged, opened again, or its head moved.

use super::admit::{closed, revising};
use super::facts::Reach;
use crate::ending::write_end;
use crate::{Context, Error};
use pullyard_domain::job::NotNow;
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::review::SeenPullRequest;
use pullyard_store::{Proof, Write};

/// What news of a pull request meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is not linked to any ticket of these projects.
    NotOurs,
    /// Nothing that was not known, or older than what is.
    Nothing,
    /// It is noted.
    Noted,
}

/// Notes what a forge says of a pull request. One that can't change any more takes the job that revises it
/// with it, and what waits for it is answered.
///
/// Idempotent: ordered by the forge's own time; the end of its job and the settling of what waits are asked
/// for again by every call that finds it closed.
pub async fn pull_request_changed(ctx: &Context, reach: &Reach, seen: &SeenPullRequest) -> Result<Changed, Error> {
    let mut rounds = ctx.rounds(&seen.id);
    let (linked, changed) = loop {
        let Some(linked) = ctx.store.pull_request(&seen.id).await? else { return Ok(Changed::NotOurs) };
        if !reach.includes(&linked.project) {
            return Ok(Changed::NotOurs);
        }
        let Some(mut heard) = linked.heard(seen.state, &seen.head, seen.updated_at) else {
            break (linked, Changed::Nothing);
        };
        heard.repository_name = Some(seen.repository.clone());
        if ctx.store.update_pull_request(&heard).await? == Write::Applied {
            tracing::info!(pull_request = %seen.id, state = seen.state.words(), "news of a pull request");
            break (heard, Changed::Noted);
        }
        rounds.again().await?;
    };
    if linked.state != PullRequestState::Open {
        call_off(ctx, &linked).await?;
    }
    Ok(changed)
}

/// What can't be done any more is not gone on with.
async fn call_off(ctx: &Context, linked: &PullRequest) -> Result<(), Error> {
    let Some(key) = &linked.ticket else { return Ok(()) };
    let Some(ticket) = ctx.store.ticket(&linked.project, key).await? else { return Ok(()) };
    if let Some(id) = &ticket.active_job {
        let mut rounds = ctx.rounds(id);
        while let Some(job) = ctx.store.job(id).await?.filter(|job| revising(linked, job)) {
            let now = ctx.clock.now();
            let next = match job.cancelled(closed(&job, linked.state, now), now) {
                Ok(next) => next,
                // It is stopping already.
                Err(NotNow::Already | NotNow::Status(_)) => break,
                Err(refusal) => return Err(Error::refused(refusal, now)),
            };
            let written = match next.status.is_terminal() {
                true => write_end(ctx, &job, &next, Proof::Nothing, now).await?,
                false => ctx.store.update_job(&next).await?,
            };
            if written == Write::Applied {
                tracing::info!(job.id = %id, pull_request = %linked.id, "a job was called off: its pull request can't change any more");
                break;
            }
            rounds.again().await?;
        }
    }
    if ticket.defers(&linked.id) {
        settle_now(ctx, linked, &linked.id).await?;
    }
    Ok(())
}

/// What waits for a pull request is looked at now instead of when its hour is over.
async fn settle_now(ctx: &Context, linked: &PullRequest, id: &PullRequestId) -> Result<(), Error> {
    let Some(key) = &linked.ticket else { return Ok(()) };
    let mut rounds = ctx.rounds(key);
    while let Some(ticket) = ctx.store.ticket(&linked.project, key).await? {
        let now = ctx.clock.now();
        let due = ticket.deferred.get(&id.to_string()).is_some_and(|opens_at| *opens_at <= now);
        if !ticket.defers(id) || due {
            break;
        }
        let Some(sooner) = ticket.deferring(id, now) else { break };
        if ctx.store.update_ticket(&sooner).await? == Write::Applied {
            break;
        }
        rounds.again().await?;
    }
    ctx.wake_ticket(&linked.project, key).await;
    Ok(())
}
