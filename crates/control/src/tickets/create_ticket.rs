//! Creates a ticket on the built-in board.

use crate::answer::Answer;
use crate::facts::load_facts;
use crate::jobs::new_job::write_new_ticket_and_job;
use crate::requester::{Requester, new_request};
use crate::tickets::board::{check_status, find_first_answer, new_event_id, stored_answer};
use crate::tickets::move_ticket::{log_answer, new_delivery, plan_new_job};
use crate::tickets::suggest_key::{numbered_key, suggest_number};
use crate::{Context, Error};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::text::id::{EventId, ProjectId, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::{TicketEvent, TicketText};
use pullyard_domain::ticket::guard::{self, FollowUp};
use pullyard_domain::ticket::rank::rank_of_new;
use pullyard_store::{TicketCreation, Write};

#[derive(Clone, Debug)]
pub struct NewTicket {
    pub project: ProjectId,
    /// `None` for the next number of the project.
    pub key: Option<TicketKey>,
    pub text: TicketText,
    pub status: Option<String>,
    pub caller: Requester,
    pub request: Option<EventId>,
}

/// Creates a ticket on the board, in one write with ledger entry and job.
/// Idempotent: with a key, by caller, project and key, for 24 hours: a repeat returns `repeat` and the first job, and
/// moves nothing. Without a key, by the ticket's key: a repeat is `NameTaken`. Without both, each call is a new ticket.
/// Errors: `NotFound` (project); `NameTaken`; `KeyReused`; `Invalid` for a status that is no column, or without a free
/// number; `Contended`.
pub async fn create_ticket(ctx: &Context, new: NewTicket) -> Result<Answer, Error> {
    let NewTicket { project, key: wanted, text, status, caller, request } = new;
    let scope = format!("{} new tickets of {project}", caller.id);
    let request = new_request(scope, request, &(&wanted, &text, &status), ctx.clock.now());
    let id = new_event_id();
    let mut rounds = ctx.retries(wanted.as_ref().map_or(project.as_str(), TicketKey::as_str));
    let mut suggested = None;
    loop {
        if let Some(first) = find_first_answer(ctx, request.as_ref()).await? {
            return Ok(first);
        }
        let stored = ctx.load_project(&project).await?;
        // Otherwise the tool's next ticket would be the same one.
        let tool = stored.settings.tracker.as_ref().filter(|tool| tool.is_scoped());
        if let Some(tool) = tool.filter(|tool| wanted.as_ref().is_none_or(|key| tool.has_ticket(key))) {
            let fault = format!("create the ticket in {}, or give a key outside of {}", tool.connection, tool.scope);
            return Err(Error::Invalid { pointer: "/key", fault });
        }
        let key = match &wanted {
            Some(key) => key.clone(),
            None => {
                let number = match suggested {
                    Some(number) => number,
                    None => *suggested.insert(suggest_number(ctx, &project).await?),
                };
                let used_up = || Error::Invalid { pointer: "/key", fault: "give one: the numbers are used up".into() };
                numbered_key(&project, number).ok_or_else(used_up)?
            }
        };
        let event = TicketEvent {
            source: Source::Board,
            project: project.clone(),
            event: id.clone(),
            occurred_at: ctx.clock.now(),
            actor: Some(caller.name.clone()),
            previous_status: None,
            key: key.clone(),
            status: status.clone().unwrap_or_else(|| stored.settings.statuses.todo.clone()),
            text: Some(text.clone()),
            rank: None,
            is_own: false,
        };
        check_status(&stored, &event.status)?;
        let (facts, text) = load_facts(ctx, &event).await?;
        if let Some(first) = &facts.first_decision {
            return Ok(stored_answer(&event, first));
        }
        if facts.ticket.is_some() && wanted.is_none() {
            // The index lacked a ticket of the last second. `load_facts` reads strongly, so the next number may be free.
            suggested = suggested.map(|number| number + 1);
            continue;
        }
        if facts.ticket.is_some() {
            // A concurrent call with the same key may have created it after the first lookup.
            let name_taken = || Error::NameTaken { resource: "ticket", name: key.to_string() };
            return find_first_answer(ctx, request.as_ref()).await?.ok_or_else(name_taken);
        }
        let decision = guard::decide(&event, &facts);
        let delivery = new_delivery(&event, &facts, &decision.reason);
        let (status, at, event_id) = (event.status.clone(), event.occurred_at, Some(event.event.clone()));
        let ticket = Ticket::new(project.clone(), key.clone(), status, at, event_id);
        let ticket = Ticket { rank: rank_of_new(at), ..ticket };
        let write = match decision.follow_up {
            FollowUp::CreateJob => {
                let ticket = Ticket { last_entry: Some(event.entry()), ..ticket };
                let job = plan_new_job(&facts, &text, &ticket, &delivery)?;
                // Boxed: otherwise the future of a whole trigger is on the caller's stack.
                Box::pin(write_new_ticket_and_job(ctx, job, &delivery, request.as_ref())).await?
            }
            follow => {
                let ticket = if follow == FollowUp::HoldEntry { ticket.hold_entry(event.entry()) } else { ticket };
                let (ticket, text, delivery, request) = (&ticket, &text, &delivery, request.as_ref());
                let creation =
                    TicketCreation { ticket, text, delivery, job: None, charge: None, spending: None, request };
                ctx.store.create_ticket(&creation).await?
            }
        };
        if write == Write::Applied {
            ctx.counters().count_decision(&decision.reason);
            return Ok(log_answer(&event, delivery, decision.reason));
        }
        rounds.backoff().await?;
    }
}

/// The key of the ticket that a call without a key created, now or at first.
pub async fn load_created_key(ctx: &Context, answer: &Answer) -> Result<TicketKey, Error> {
    let delivery = ctx.store.load_delivery(&answer.delivery).await?;
    let lost = || Error::Inconsistent(format!("the ledger names no ticket for {}", answer.delivery));
    delivery.and_then(|delivery| delivery.ticket).ok_or_else(lost)
}
