//! Puts a due item off after a failure, so that it does not block the others.

use crate::error::format_for_table;
use crate::{Context, Error};
use pullyard_domain::job::JobStatus;
use pullyard_domain::text::back_off::back_off;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{Error as StoreError, WorkKey};

/// Puts the item off if `result` is an error for which `is_lasting` is true.
pub(crate) async fn postpone_after<T>(
    ctx: &Context,
    key: &WorkKey,
    result: Result<T, Error>,
    is_lasting: impl Fn(&Error) -> bool,
) -> Result<T, Error> {
    if let Err(error) = &result
        && is_lasting(error)
    {
        log_failure(key, postpone(ctx, key, Some(error)).await);
    }
    result
}

pub(crate) fn log_failure(key: &WorkKey, postponed: Result<(), Error>) {
    if let Err(error) = postponed {
        tracing::warn!(item = ?key, error = %error, "failed item not postponed");
    }
}

/// Puts an item off, longer each time, with the reason if it has a field for it. Only moves an unreadable item.
pub(crate) async fn postpone(ctx: &Context, key: &WorkKey, cause: Option<&Error>) -> Result<(), Error> {
    match put_off(ctx, key, cause).await {
        Err(Error::Store(StoreError::Corrupt { .. })) => {
            let until = ctx.clock.now().plus(back_off(u32::MAX));
            ctx.store.postpone_row(key, until).await?;
            Ok(())
        }
        put_off => put_off,
    }
}

/// Puts an item off until the host that it calls may be called again, if the call is still due. This is no failure of
/// the item.
/// Stale is harmless: the concurrent write moved the item.
pub(crate) async fn put_off_until(ctx: &Context, key: &WorkKey, until: Timestamp) -> Result<(), Error> {
    match key {
        WorkKey::Job(id) => {
            let Some(mut job) = ctx.store.load_job(id).await? else { return Ok(()) };
            // Only the reading of its reviews calls the host. A later job has its own due time, such as its silence.
            if job.status != JobStatus::Pending {
                return Ok(());
            }
            job.not_before = job.not_before.max(Some(until));
            ctx.store.update_job(&job).await?;
        }
        WorkKey::PullRequest(id) => {
            let Some(mut pull_request) = ctx.store.load_pull_request(id).await? else { return Ok(()) };
            if !pull_request.is_note_outdated() && pull_request.review_wanted_at().is_none() {
                return Ok(());
            }
            pull_request.not_before = pull_request.not_before.max(Some(until));
            ctx.store.update_pull_request(&pull_request).await?;
        }
        WorkKey::Poll(project, integration, repository) => {
            let Some(mut poll) = ctx.store.load_poll(project, integration, *repository).await? else { return Ok(()) };
            if poll.gone_at.is_some() || poll.next > ctx.clock.now() {
                return Ok(());
            }
            poll.not_before = poll.not_before.max(Some(until));
            ctx.store.put_poll(&poll).await?;
        }
        // They are put off by their own use cases.
        WorkKey::Ticket(..) | WorkKey::Run(_) | WorkKey::Schedule(_) | WorkKey::Notice(_) => {}
    }
    Ok(())
}

/// Stale is harmless: the concurrent write moved the item.
async fn put_off(ctx: &Context, key: &WorkKey, error: Option<&Error>) -> Result<(), Error> {
    let now = ctx.clock.now();
    let delay = |not_before: &mut Option<Timestamp>, tries: &mut u32| {
        *not_before = Some(now.plus(back_off(*tries)));
        *tries += 1;
    };
    match key {
        WorkKey::Job(id) => {
            let Some(mut job) = ctx.store.load_job(id).await? else { return Ok(()) };
            delay(&mut job.not_before, &mut job.tries);
            ctx.store.update_job(&job).await?;
        }
        WorkKey::Ticket(project, key) => {
            let Some(mut ticket) = ctx.store.load_ticket(project, key).await? else { return Ok(()) };
            delay(&mut ticket.not_before, &mut ticket.tries);
            ctx.store.update_ticket(&ticket).await?;
        }
        WorkKey::PullRequest(id) => {
            let Some(mut pull_request) = ctx.store.load_pull_request(id).await? else { return Ok(()) };
            delay(&mut pull_request.not_before, &mut pull_request.tries);
            ctx.store.update_pull_request(&pull_request).await?;
        }
        WorkKey::Poll(project, integration, repository) => {
            let Some(mut poll) = ctx.store.load_poll(project, integration, *repository).await? else { return Ok(()) };
            delay(&mut poll.not_before, &mut poll.tries);
            poll.look.problem = error.map(format_for_table).or(poll.look.problem);
            ctx.store.put_poll(&poll).await?;
        }
        // A user's order and the end of a job move a run at once.
        WorkKey::Run(_) => drop(ctx.store.postpone_row(key, now.plus(back_off(u32::MAX))).await?),
        // Only the row: a schedule's due time identifies a start, and a notice's due time is the pause between tries.
        WorkKey::Schedule(_) | WorkKey::Notice(_) => drop(ctx.store.postpone_row(key, now.plus(back_off(1))).await?),
    }
    Ok(())
}
