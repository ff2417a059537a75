//! The built-in board: creates, edits and moves tickets, as ticket events of source `Board`.

use crate::facts::load_facts;
use crate::jobs::new_job::write_new_ticket_and_job;
use crate::requester::{Requester, hash_request, new_request};
use crate::tickets::move_ticket::{Answer, log_answer, move_ticket, new_delivery, plan_new_job};
use crate::tickets::order::load_rank_before;
use crate::tickets::suggest_key::suggest_ticket_key;
use crate::{Context, Error};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Source;
use pullyard_domain::denial::Denial;
use pullyard_domain::event::{TicketEvent, TicketText};
use pullyard_domain::facts::FirstDecision;
use pullyard_domain::guard::{self, FollowUp};
use pullyard_domain::id::{DeliveryId, EventId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::project::Project;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::rank::{Place, rank_at};
use pullyard_domain::time::Timestamp;
use pullyard_store::{Request, TextEdit, TicketCreation, Write};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

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

#[derive(Clone, Debug)]
pub struct TicketEdit {
    pub project: ProjectId,
    pub key: TicketKey,
    pub changes: TextChanges,
    /// `text_version` of the text that the caller saw. `None` edits any text.
    pub based_on: Option<String>,
    pub caller: Requester,
    pub request: Option<EventId>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct TextChanges {
    pub title: Option<String>,
    pub description: Option<String>,
    pub labels: Option<BTreeSet<String>>,
    pub repository: Option<RepositoryName>,
}

impl TextChanges {
    fn apply_to(&self, text: TicketText) -> TicketText {
        let Self { title, description, labels, repository } = self.clone();
        TicketText {
            title: title.unwrap_or(text.title),
            description: description.unwrap_or(text.description),
            labels: labels.unwrap_or(text.labels),
            repository: repository.or(text.repository),
            url: text.url,
        }
    }
}

/// Creates a ticket on the board, in one write with ledger entry and job.
/// Idempotent: with a key, by caller, project and key, for 24 hours: a repeat returns `repeat` and the first job, and
/// moves nothing. Without a key, by the ticket's key: a repeat is `NameTaken`. Without both, each call is a new ticket.
/// Errors: `NotFound` (project); `NameTaken`; `KeyReused`; `Invalid` for a status that is no column; `Contended`.
pub async fn create_ticket(ctx: &Context, new: NewTicket) -> Result<Answer, Error> {
    let NewTicket { project, key: wanted, text, status, caller, request } = new;
    let scope = format!("{} new tickets of {project}", caller.id);
    let request = new_request(scope, request, &(&wanted, &text, &status), ctx.clock.now());
    let id = new_event_id();
    let mut rounds = ctx.retries(wanted.as_ref().map_or(project.as_str(), TicketKey::as_str));
    loop {
        if let Some(first) = find_first_answer(ctx, request.as_ref()).await? {
            return Ok(first);
        }
        let stored = ctx.load_project(&project).await?;
        let key = match &wanted {
            Some(key) => key.clone(),
            None => suggest_ticket_key(ctx, &project).await?,
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
        };
        check_status(&stored, &event.status)?;
        let (facts, text) = load_facts(ctx, &event).await?;
        if let Some(first) = &facts.first_decision {
            return Ok(stored_answer(&event, first));
        }
        if facts.ticket.is_some() && wanted.is_none() {
            // The index lags behind the ticket that has the suggested key.
            rounds.backoff().await?;
            continue;
        }
        if facts.ticket.is_some() {
            // A concurrent call with the same key may have created it after the first lookup.
            let name_taken = || Error::NameTaken { what: "ticket", name: key.to_string() };
            return find_first_answer(ctx, request.as_ref()).await?.ok_or_else(name_taken);
        }
        let decision = guard::decide(&event, &facts);
        let delivery = new_delivery(&event, &facts, &decision.reason);
        let ticket = Ticket::new(
            project.clone(),
            key.clone(),
            event.status.clone(),
            event.occurred_at,
            Some(event.event.clone()),
        );
        let written = match decision.follow_up {
            FollowUp::CreateJob => {
                let ticket = Ticket { last_entry: Some(event.entry()), ..ticket };
                let job = plan_new_job(&facts, &text, &ticket, &delivery)?;
                write_new_ticket_and_job(ctx, job, &delivery, request.as_ref()).await?
            }
            follow => {
                let ticket = if follow == FollowUp::HoldEntry { ticket.hold_entry(event.entry()) } else { ticket };
                let (ticket, text, delivery, request) = (&ticket, &text, &delivery, request.as_ref());
                let written = TicketCreation { ticket, text, delivery, job: None, charge: None, request };
                ctx.store.create_ticket(&written).await?
            }
        };
        if written == Write::Applied {
            ctx.counters().count_decision(&decision.reason);
            return Ok(log_answer(&event, delivery, decision.reason));
        }
        rounds.backoff().await?;
    }
}

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

/// Moves a ticket to another column, or within its column. `None` if only the order changed: that starts no job, and
/// the ledger has no entry.
/// Idempotent: with a key, by caller, project and key, while its ledger entry exists: a repeat returns `repeat` and
/// moves nothing. If the first call crashed after its ledger entry, a repeat completes it, unless the ticket has a
/// newer event. Without a key each call is a new move. A repeated change of the order leads to the same order.
/// Errors: `NotFound` (ticket); `KeyReused`; `Denied` without such a place; `Invalid` for a status that is no column.
pub async fn move_board_ticket(ctx: &Context, command: TicketMove) -> Result<Option<Answer>, Error> {
    let TicketMove { project, key, status, place, caller, request } = command;
    let ticket = ctx.load_ticket(&project, &key).await?;
    let status = status.unwrap_or_else(|| ticket.status.clone());
    let named = request.map(|request| EventId::for_move(&caller.id, request.as_str()));
    let mut moved = new_board_event(&ticket, ctx.clock.now(), status, None, caller.name);
    if let Some(event) = named {
        let first = ctx.store.load_delivery(&DeliveryId::for_ticket_event(&project, &event)).await?;
        moved.event = event;
        if let Some(first) = first {
            let same = first.facts.as_ref().filter(|facts| facts.status == moved.status);
            let same = same.filter(|_| first.ticket.as_ref() == Some(&key)).ok_or(Error::KeyReused)?;
            if !first.is_unapplied(&ticket) {
                let reason = Reason::Repeat { first: first.reason.verdict().as_str().into() };
                return Ok(Some(Answer { delivery: first.id, reason, job: first.job }));
            }
            // Use the time of the first call, so that later events are newer.
            moved.occurred_at = same.occurred_at;
        }
    }
    let stays = ticket.status == moved.status;
    if !stays {
        let stored = ctx.store.load_project(&project).await?;
        let unknown = || Error::not_found("project", &project);
        check_status(&stored.ok_or_else(unknown)?, &moved.status)?;
    }
    moved.rank = match place {
        Some(Place::Before(next)) => Some(load_rank_before(ctx, &ticket, &next, &moved.status).await?),
        None if stays => None,
        Some(Place::Last) | None => Some(rank_at(moved.occurred_at)),
    };
    match moved.rank {
        Some(rank) if stays => match ctx.store.store_rank(&ticket, rank).await? {
            Write::Applied => Ok(None),
            Write::Stale => Err(Error::Denied(Denial::NotInColumn { ticket: key, status: moved.status })),
        },
        _ => move_ticket(ctx, &moved).await.map(Some),
    }
}

fn check_status(project: &Project, status: &str) -> Result<(), Error> {
    let fault = project.settings.statuses.unknown_status_fault(status);
    fault.map_or(Ok(()), |fault| Err(Error::Invalid { pointer: "/status", fault }))
}

/// Edits a ticket's text, in one write with the ledger entry. Never starts a job. Concurrent edits both apply.
/// Idempotent: with a key, by caller, project and key, for 24 hours: a repeat returns `repeat` and changes nothing.
/// Without a key each call is a new edit.
/// Errors: `NotFound` (ticket); `KeyReused`; `Denied` if `based_on` is another version than the stored text's;
/// `Contended`, with nothing stored.
pub async fn edit_ticket(ctx: &Context, command: TicketEdit) -> Result<Answer, Error> {
    let TicketEdit { project, key, changes, based_on, caller, request } = command;
    let scope = format!("{} edits of {project}", caller.id);
    let request = new_request(scope, request, &(&key, &changes), ctx.clock.now());
    let id = new_event_id();
    let mut rounds = ctx.retries(&key);
    loop {
        if let Some(first) = find_first_answer(ctx, request.as_ref()).await? {
            return Ok(first);
        }
        let ticket = ctx.load_ticket(&project, &key).await?;
        let stored = ctx.store.load_ticket_text(&project, &key).await?;
        let before = stored.as_ref().map(|stored| stored.text.clone()).unwrap_or_default();
        if based_on.as_ref().is_some_and(|version| *version != text_version(&before)) {
            return Err(Error::Denied(Denial::TicketEdited { ticket: key }));
        }
        let text = changes.apply_to(before);
        let status = ticket.status.clone();
        let event = new_board_event(&ticket, ctx.clock.now(), status, Some(text), caller.name.clone());
        let event = TicketEvent { event: id.clone(), ..event };
        let (facts, text) = load_facts(ctx, &event).await?;
        if let Some(first) = &facts.first_decision {
            return Ok(stored_answer(&event, first));
        }
        let decision = guard::decide(&event, &facts);
        // A concurrent move between the two reads could make this a trigger, but an edit never starts a job.
        if decision.follow_up != FollowUp::CreateJob {
            let delivery = new_delivery(&event, &facts, &decision.reason);
            let edited = TextEdit {
                project: &project,
                ticket: &key,
                text: &text,
                previous: stored.as_ref(),
                delivery: &delivery,
                request: request.as_ref(),
            };
            if ctx.store.replace_text(&edited).await? == Write::Applied {
                return Ok(log_answer(&event, delivery, decision.reason));
            }
        }
        rounds.backoff().await?;
    }
}

/// Identifies a ticket's text, for `TicketEdit::based_on`.
pub fn text_version(text: &TicketText) -> String {
    hash_request(text)
}

async fn find_first_answer(ctx: &Context, request: Option<&Request>) -> Result<Option<Answer>, Error> {
    let Some(request) = request else { return Ok(None) };
    let Some((content, id)) = ctx.store.load_ticket_request(&request.caller, &request.key, request.at).await? else {
        return Ok(None);
    };
    if content != request.content {
        return Err(Error::KeyReused);
    }
    let lost = || Error::Inconsistent(format!("the ledger has no entry {id} of a request that it answered"));
    let first = ctx.store.load_delivery(&id).await?.ok_or_else(lost)?;
    let reason = Reason::Repeat { first: first.reason.verdict().as_str().into() };
    Ok(Some(Answer { delivery: first.id, reason, job: first.job }))
}

/// Returns the answer stored by an earlier round of this call, whose event id is unique and whose write looked stale.
fn stored_answer(event: &TicketEvent, stored: &FirstDecision) -> Answer {
    let job = match &stored.reason {
        Reason::Accepted { job } | Reason::JobActive { job, .. } => Some(job.clone()),
        _ => None,
    };
    Answer { delivery: DeliveryId::for_ticket_event(&event.project, &event.event), reason: stored.reason.clone(), job }
}

/// Creates a board event, later than the ticket's last event even if a tool's clock is ahead. Otherwise a repeat that
/// completes an older move could pass for the newest event.
fn new_board_event(
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
    }
}

/// Board events have no sender that assigns ids.
fn new_event_id() -> EventId {
    let id = format!("board-{}", ulid::Ulid::generate().to_string().to_lowercase());
    EventId::new(id).unwrap_or_else(|_| unreachable!("letters, digits and a dash"))
}
