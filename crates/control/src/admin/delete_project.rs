//! Deletes a project and its tickets, unless a repository, a hook or a job uses it. Jobs and the ledger stay.
//! The checks are best effort: `start_attempt` cancels a job that they miss, so no job starts in a deleted project.

use crate::admin::removal::{PAGE_SIZE, find_use_by_hooks, find_use_by_jobs};
use crate::tickets::delete_ticket::delete_ticket;
use crate::{Context, Error};
use pullyard_domain::denial::Denial;
use pullyard_domain::id::ProjectId;
use pullyard_domain::removal::{deny_project_for_hook, deny_project_for_job, deny_project_for_repositories};
use pullyard_store::Write;

const MAX_JOBS: usize = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectDeletion {
    /// Tickets deleted by this call, at most a page.
    pub tickets: usize,
    /// The project stays while there are further tickets; repeat the call.
    pub has_more_tickets: bool,
}

/// Writes: deletes up to a page of tickets, see `delete_ticket`; if no other is left, see `Store::delete_project`.
/// Idempotent: a repeat continues; after the last one it returns `NotFound`.
/// Errors: `NotFound`; `Contended`; `Denied` while a repository is connected, a hook names the project, or a job of it
/// has not ended; `Store` if one of them is unreadable.
pub async fn delete_project(ctx: &Context, id: &ProjectId) -> Result<ProjectDeletion, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let project = ctx.load_project(id).await?;
        if let Some(denial) = find_use(ctx, id).await? {
            return Err(Error::Denied(denial));
        }
        let (tickets, next) = ctx.store.list_ticket_keys(id, None, PAGE_SIZE).await?;
        for ticket in &tickets {
            match delete_ticket(ctx, id, ticket).await {
                // The list may still contain a deleted ticket.
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let deletion = ProjectDeletion { tickets: tickets.len(), has_more_tickets: next.is_some() };
        if deletion.has_more_tickets {
            return Ok(deletion);
        }
        if ctx.store.delete_project(&project).await? == Write::Applied {
            tracing::info!(project = %id, "project deleted");
            return Ok(deletion);
        }
        rounds.backoff().await?;
    }
}

async fn find_use(ctx: &Context, id: &ProjectId) -> Result<Option<Denial>, Error> {
    if let Some(denial) = deny_project_for_repositories(id, &ctx.store.list_repositories(id).await?) {
        return Ok(Some(denial));
    }
    if let Some(denial) = find_use_by_hooks(ctx, |hook| deny_project_for_hook(id, hook)).await? {
        return Ok(Some(denial));
    }
    find_use_by_jobs(ctx, id, MAX_JOBS, deny_project_for_job).await
}
