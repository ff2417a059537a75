//! Deletes a ticket with its text and its comments. Its jobs, its pull requests and the ledger stay.

use crate::tickets::comments::list_comments_of;
use crate::{Context, Error};
use pullyard_domain::id::{ProjectId, TicketKey};
use pullyard_domain::removal::deny_ticket_removal;
use pullyard_store::Write;

/// Entries and reviews that wait for a decision are dropped. A later event of the ticket's tool creates it again.
/// Writes: see `Store::delete_comments` and `Store::delete_ticket`. The comments first, so that a crash leaves a ticket
/// that can be deleted again, and no comments for a new ticket of the same key.
/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound` (ticket); `Contended`; `Denied` while a job of it has not ended or its pull request is open.
pub async fn delete_ticket(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    let mut retries = ctx.retries(key);
    loop {
        let ticket = ctx.load_ticket(project, key).await?;
        let pull_request = match &ticket.pull_request {
            Some(link) => ctx.store.load_pull_request(&link.id).await?,
            None => None,
        };
        if let Some(denial) = deny_ticket_removal(&ticket, pull_request.as_ref()) {
            return Err(Error::Denied(denial));
        }
        // A page of comments per round; a comment that is added meanwhile changes the ticket's revision.
        let comments = list_comments_of(ctx, &ticket, None).await?.comments;
        if !comments.is_empty() {
            if ctx.store.delete_comments(&comments).await? == Write::Stale {
                retries.backoff().await?;
            }
            continue;
        }
        if ctx.store.delete_ticket(&ticket).await? == Write::Applied {
            tracing::info!(project = %project, ticket = %key, "ticket deleted");
            return Ok(());
        }
        retries.backoff().await?;
    }
}
