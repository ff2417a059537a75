//! Moves a ticket on the built-in board, to another column or within its column.

use crate::answer::Answer;
use crate::requester::Requester;
use crate::tickets::board::{check_status, new_board_event};
use crate::tickets::move_ticket::move_ticket;
use crate::tickets::order::load_rank_before;
use crate::{Context, Error};
use pullyard_domain::project::Settings;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::{DeliveryId, EventId, ProjectId, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::TicketEvent;
use pullyard_domain::ticket::rank::{Place, rank_at};
use pullyard_store::Write;

#[derive(Clone, Debug)]
pub struct TicketMove {
    pub project: ProjectId,
    pub key: TicketKey,
    /// `None` for the ticket's present status.
    pub status: Option<String>,
    /// `None` for the end of another column. In its own column the card then stays where it is.
    pub place: Option<Place>,
    pub caller: Requester,
    pub request: Option<EventId>,
}

/// Moves a ticket to another column, or within its column. `None` if only the order changed: that starts no job. Also
/// `None` for a ticket in a tool, which gets the move as a request; its ledger entry follows when the tool has made it.
/// Idempotent: with a `request`, by caller, project and request, while its ledger entry exists: a repeat returns
/// `Repeat` and moves nothing. If the first call crashed after its ledger entry, a repeat completes it, unless the
/// ticket has a newer event. Without a `request` each call is a new move. A repeated change of the order leads to the
/// same order.
/// Errors: `NotFound` (ticket); `KeyReused`; `Denied` without such a place; `Invalid` for a status that is no column.
pub async fn move_board_ticket(ctx: &Context, command: TicketMove) -> Result<Option<Answer>, Error> {
    let TicketMove { project, key, status, place, caller, request } = command;
    let ticket = ctx.load_ticket(&project, &key).await?;
    let status = status.unwrap_or_else(|| ticket.status.clone());
    let event_id = request.map(|request| EventId::for_move(&caller.id, request.as_str()));
    let mut moved = new_board_event(&ticket, ctx.clock.now(), status, None, caller.name);
    if let Some(event) = event_id {
        let first = ctx.store.load_delivery(&DeliveryId::for_ticket_event(&project, &event)).await?;
        moved.event = event;
        if let Some(first) = first {
            let facts = first.facts.as_ref().filter(|facts| facts.status == moved.status);
            let facts = facts.filter(|_| first.ticket.as_ref() == Some(&key)).ok_or(Error::KeyReused)?;
            if !first.is_unapplied(&ticket) {
                let reason = Reason::Repeat { first: first.reason.verdict().as_str().into() };
                return Ok(Some(Answer { delivery: first.id, reason, job: first.job }));
            }
            // Use the time of the first call, so that later events are newer.
            moved.occurred_at = facts.occurred_at;
        }
    }
    let is_same_column = ticket.status == moved.status;
    let withdraws = ticket.requested_status().is_some_and(|requested| requested != moved.status);
    if !is_same_column || withdraws {
        let stored = ctx.load_project(&project).await?;
        check_status(&stored, &moved.status)?;
        if ticket.tool(&stored.settings).is_some() {
            return request_tool_move(ctx, ticket, moved, &stored.settings).await;
        }
    }
    moved.rank = match place {
        Some(Place::Before(next)) => Some(load_rank_before(ctx, &ticket, &next, &moved.status).await?),
        None if is_same_column => None,
        Some(Place::Last) | None => Some(rank_at(moved.occurred_at)),
    };
    match moved.rank {
        Some(rank) if is_same_column => match ctx.store.store_rank(&ticket, rank).await? {
            Write::Applied => Ok(None),
            Write::Stale => Err(Error::Denied(Denial::NotInColumn { ticket: key, status: moved.status })),
        },
        _ => move_ticket(ctx, &moved).await.map(Some),
    }
}

/// Requests the move from the ticket's tool. When the tool has made it, it may start a job.
/// A move to the ticket's own column withdraws an earlier one.
async fn request_tool_move(
    ctx: &Context,
    mut ticket: Ticket,
    moved: TicketEvent,
    settings: &Settings,
) -> Result<Option<Answer>, Error> {
    if ticket.requested_status() != Some(&moved.status) {
        ticket.request_move(&moved.status, &moved.actor.unwrap_or_default(), moved.event, settings);
        if ctx.store.update_ticket(&ticket).await? == Write::Stale {
            return Err(Error::Contended { subject: ticket.key.to_string() });
        }
    }
    ctx.wake_ticket(&ticket.project, &ticket.key).await;
    Ok(None)
}
