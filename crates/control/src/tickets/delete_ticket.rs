//! Deletes a ticket with its text and its comments. Keeps its jobs, its pull requests and the ledger.

use crate::admin::update_project::update_project;
use crate::tickets::comments::list_comments_of;
use crate::tickets::suggest_key::number_of;
use crate::{Context, Error};
use pullyard_domain::project::Project;
use pullyard_domain::review::removal::deny_ticket_removal;
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_store::Write;

/// Also deletes its waiting entries and reviews. A later event of the ticket tool creates the ticket again.
/// Writes: PROJECT with the highest `deleted_number`; see `Store::delete_comments` and `Store::delete_ticket`. Comments
/// are deleted first and the ticket last. After a crash in between, the ticket still exists, and a repeat deletes the
/// rest; a new ticket of this key never gets old comments.
/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound` (ticket, project); `Contended`; `Denied` while the ticket has an active job or an open pull request.
pub async fn delete_ticket(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    ctx.load_ticket(project, key).await?;
    if let Some(number) = number_of(project, key) {
        let raise = |it: Project| Ok(Project { deleted_number: it.deleted_number.max(number), ..it });
        update_project(ctx, project, raise).await?;
    }
    delete_ticket_and_comments(ctx, project, key).await
}

/// Like `delete_ticket`, for a project that is deleted too.
pub(crate) async fn delete_ticket_and_comments(
    ctx: &Context,
    project: &ProjectId,
    key: &TicketKey,
) -> Result<(), Error> {
    let mut retries = ctx.retries(key);
    loop {
        let ticket = ctx.load_ticket(project, key).await?;
        let pull_request = match &ticket.pull_request {
            Some(link) => ctx.store.load_pull_request(&link.id).await?,
            None => None,
        };
        Error::refuse_if(deny_ticket_removal(&ticket, pull_request.as_ref()))?;
        // Each round deletes a page of comments. A new comment changes the ticket's revision.
        let comments = list_comments_of(ctx, &ticket, None).await?.comments;
        let write = match comments.is_empty() {
            true => ctx.store.delete_ticket(&ticket).await?,
            false => ctx.store.delete_comments(&comments).await?,
        };
        if write == Write::Stale {
            retries.backoff().await?;
        } else if comments.is_empty() {
            tracing::info!(project = %project, ticket = %key, "ticket deleted");
            return Ok(());
        }
    }
}
