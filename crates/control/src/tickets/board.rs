//! Events and earlier answers of the built-in board, shared by its use cases.

use crate::answer::{Answer, named_job};
use crate::requester::find_first_result;
use crate::{Context, Error};
use pullyard_domain::project::Project;
use pullyard_domain::review::delivery::Source;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, EventId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::{TicketEvent, TicketText};
use pullyard_domain::ticket::facts::FirstDecision;
use pullyard_store::Request;
use std::time::Duration;

pub(crate) fn check_status(project: &Project, status: &str) -> Result<(), Error> {
    let fault = project.settings.statuses.unknown_status_fault(status);
    fault.map_or(Ok(()), |fault| Err(Error::Invalid { pointer: "/status", fault }))
}

pub(crate) async fn find_first_answer(ctx: &Context, request: Option<&Request>) -> Result<Option<Answer>, Error> {
    let Some(id) = find_first_result::<DeliveryId>(ctx, request).await? else { return Ok(None) };
    let lost = || Error::Inconsistent(format!("the ledger has no entry {id} of a request that it answered"));
    let first = ctx.store.load_delivery(&id).await?.ok_or_else(lost)?;
    let reason = Reason::Repeat { first: first.reason.verdict().as_str().into() };
    Ok(Some(Answer { delivery: first.id, reason, job: first.job }))
}

/// Returns the answer stored by an earlier round of this call, whose event id is unique and whose write looked stale.
pub(crate) fn stored_answer(event: &TicketEvent, stored: &FirstDecision) -> Answer {
    let delivery = DeliveryId::for_ticket_event(&event.project, &event.event);
    Answer { delivery, reason: stored.reason.clone(), job: named_job(&stored.reason) }
}

/// Creates a board event, later than the ticket's last event even if a tool's clock is ahead. Otherwise a repeat that
/// completes an older move could pass for the newest event.
pub(crate) fn new_board_event(
    ticket: &Ticket,
    now: Timestamp,
    status: String,
    text: Option<TicketText>,
    actor: String,
) -> TicketEvent {
    TicketEvent {
        source: Source::Board,
        project: ticket.project.clone(),
        event: new_event_id(),
        occurred_at: now.max(ticket.seen_at.plus(Duration::from_millis(1))),
        actor: Some(actor),
        previous_status: None,
        key: ticket.key.clone(),
        status,
        text,
        rank: None,
        is_own: false,
    }
}

/// Board events have no sender that assigns ids.
pub(crate) fn new_event_id() -> EventId {
    let id = format!("board-{}", ulid::Ulid::generate().to_string().to_lowercase());
    EventId::new(id).unwrap_or_else(|_| unreachable!("letters, digits and a dash"))
}
