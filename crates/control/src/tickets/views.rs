//! Views of tickets, each with its text, wait and pull request.

use crate::jobs::views::{load_pull_requests, state_in};
use crate::{Context, Error};
use pullyard_domain::review::pull_request::{PullRequestId, PullRequestState};
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_domain::text::wait::Wait;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::TicketText;

#[derive(Clone, Debug)]
pub struct TicketView {
    pub ticket: Ticket,
    pub text: TicketText,
    pub waits: Option<Wait>,
    /// The changes that the ticket's tool does not show yet, as a sentence.
    pub sync_note: Option<String>,
    pub pull_request: Option<PullRequestState>,
}

impl TicketView {
    fn linked_pull_request(&self) -> Option<&PullRequestId> {
        self.ticket.shown.pull_request.as_ref().map(|link| &link.id)
    }
}

pub async fn ticket_view(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<TicketView, Error> {
    let mut view = load_ticket_with_text(ctx, project, key).await?;
    add_states(ctx, std::slice::from_mut(&mut view)).await?;
    Ok(view)
}

async fn load_ticket_with_text(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<TicketView, Error> {
    let (ticket, text) =
        tokio::try_join!(ctx.store.load_ticket(project, key), ctx.store.load_ticket_text(project, key))?;
    let ticket = ticket.ok_or_else(|| Error::not_found("ticket", key))?;
    let needs_project = ticket.held || ticket.tracker.is_some() && ticket.is_unsynced();
    let project = if needs_project { ctx.store.load_project(project).await? } else { None };
    let waits = project.as_ref().and_then(|project| ticket.wait_reason(project, ctx.clock.now()));
    let sync_note = project.and_then(|project| ticket.sync_note(&project.settings));
    let text = text.map(|stored| stored.text).unwrap_or_default();
    Ok(TicketView { ticket, text, waits, sync_note, pull_request: None })
}

async fn add_states(ctx: &Context, views: &mut [TicketView]) -> Result<(), Error> {
    let ids = views.iter().filter_map(TicketView::linked_pull_request).cloned().collect();
    let linked = load_pull_requests(ctx, ids).await?;
    for view in views {
        view.pull_request = view.linked_pull_request().and_then(|id| state_in(&linked, id, &view.ticket.project));
    }
    Ok(())
}

pub async fn ticket_views(
    ctx: &Context,
    project: &ProjectId,
    after: Option<&str>,
    limit: i32,
) -> Result<(Vec<TicketView>, Option<String>), Error> {
    let (keys, next) = ctx.store.list_ticket_keys(project, after, limit).await?;
    let mut views = Vec::with_capacity(keys.len());
    for key in keys {
        match load_ticket_with_text(ctx, project, &key).await {
            Ok(view) => views.push(view),
            // The index may lag behind a deletion.
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    add_states(ctx, &mut views).await?;
    Ok((views, next))
}
