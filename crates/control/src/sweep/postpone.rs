//! Puts a due item off after a failure, so that it does not block the others.

use crate::error::format_for_table;
use crate::{Context, Error};
use pullyard_domain::id::{IntegrationId, JobId, ProjectId, TicketKey};
use pullyard_domain::pull_request::PullRequestId;
use pullyard_domain::sweep::back_off;
use pullyard_store::{Error as StoreError, WorkKey};

/// Puts an item off, longer each time, with the reason if it has a field for it. Only moves an unreadable item.
pub(crate) async fn postpone(ctx: &Context, key: &WorkKey, why: Option<&Error>) {
    let put_off = match key {
        WorkKey::Job(job) => postpone_job(ctx, job).await,
        WorkKey::Ticket(project, ticket) => postpone_ticket(ctx, project, ticket).await,
        WorkKey::PullRequest(id) => postpone_pull_request(ctx, id).await,
        WorkKey::Poll(project, integration, repository) => {
            postpone_poll(ctx, project, integration, *repository, why).await
        }
    };
    let put_off = match put_off {
        Err(Error::Store(StoreError::Corrupt { .. })) => {
            let until = ctx.clock.now().plus(back_off(u32::MAX));
            ctx.store.postpone_row(key, until).await.map(|_| ()).map_err(Error::from)
        }
        put_off => put_off,
    };
    if let Err(error) = put_off {
        tracing::warn!(item = ?key, error = %error, "failed item not postponed");
    }
}

// Stale is harmless in all of these: the concurrent write moved the item.

async fn postpone_job(ctx: &Context, job: &JobId) -> Result<(), Error> {
    if let Some(mut job) = ctx.store.load_job(job).await? {
        job.not_before = Some(ctx.clock.now().plus(back_off(job.tries)));
        job.tries += 1;
        ctx.store.update_job(&job).await?;
    }
    Ok(())
}

async fn postpone_ticket(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    if let Some(mut ticket) = ctx.store.load_ticket(project, key).await? {
        ticket.not_before = Some(ctx.clock.now().plus(back_off(ticket.tries)));
        ticket.tries += 1;
        ctx.store.update_ticket(&ticket).await?;
    }
    Ok(())
}

async fn postpone_pull_request(ctx: &Context, id: &PullRequestId) -> Result<(), Error> {
    if let Some(mut pull_request) = ctx.store.load_pull_request(id).await? {
        pull_request.not_before = Some(ctx.clock.now().plus(back_off(pull_request.tries)));
        pull_request.tries += 1;
        ctx.store.update_pull_request(&pull_request).await?;
    }
    Ok(())
}

async fn postpone_poll(
    ctx: &Context,
    project: &ProjectId,
    integration: &IntegrationId,
    repository: u64,
    why: Option<&Error>,
) -> Result<(), Error> {
    if let Some(mut poll) = ctx.store.load_poll(project, integration, repository).await? {
        poll.not_before = Some(ctx.clock.now().plus(back_off(poll.tries)));
        poll.tries += 1;
        poll.look.problem = why.map(format_for_table).or(poll.look.problem);
        ctx.store.put_poll(&poll).await?;
    }
    Ok(())
}
