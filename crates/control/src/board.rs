//! The built-in board: its tickets are the table's own, so what people do there are ticket events.

use crate::create_job::Requester;
use crate::facts::facts_of;
use crate::move_ticket::{Answer, apply, move_ticket};
use crate::{Context, Error};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Source;
use pullyard_domain::event::{TicketEvent, TicketText};
use pullyard_domain::facts::Recorded;
use pullyard_domain::guard::{self, Decision, Follow};
use pullyard_domain::id::{DeliveryId, EventId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::time::Timestamp;
use pullyard_store::Write;
use std::collections::BTreeSet;

/// A ticket to write on the board.
#[derive(Clone, Debug)]
pub struct NewTicket {
    /// Whose.
    pub project: ProjectId,
    /// Its key.
    pub key: TicketKey,
    /// What it says.
    pub text: TicketText,
    /// Its column; the project's todo status when none.
    pub status: Option<String>,
    /// Who writes it.
    pub actor: String,
}

/// What is changed on a ticket; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// One line.
    pub title: Option<String>,
    /// Usually Markdown.
    pub description: Option<String>,
    /// Its labels.
    pub labels: Option<BTreeSet<String>>,
    /// The repository it is about.
    pub repository: Option<RepositoryName>,
}

/// Writes a ticket on the board. Written into the trigger status, it enters it.
///
/// Errors: `NotFound` without its project; `Taken` when there is a ticket of that key.
pub async fn create_ticket(ctx: &Context, new: NewTicket) -> Result<Answer, Error> {
    let Some(project) = ctx.store.project(&new.project).await? else {
        return Err(Error::NotFound { what: "project", name: new.project.to_string() });
    };
    let now = ctx.clock.now();
    let todo = project.settings.statuses.todo;
    let fresh = Ticket::first_seen(new.project.clone(), new.key.clone(), todo.clone(), now, None);
    if ctx.store.create_ticket(&fresh, &new.text).await? == Write::Stale {
        return Err(Error::Taken { what: "ticket", name: new.key.to_string() });
    }
    move_ticket(ctx, &event(&fresh, now, new.status.unwrap_or(todo), None, new.actor)).await
}

/// A move that a person or program asks for.
#[derive(Clone, Debug)]
pub struct Move {
    /// Whose.
    pub project: ProjectId,
    /// The ticket.
    pub key: TicketKey,
    /// The column it goes to.
    pub status: String,
    /// Who moves it.
    pub caller: Requester,
    /// The caller's own key for this request.
    pub request: Option<EventId>,
}

/// Puts a ticket in another column.
///
/// Idempotent: with a key, by caller, project and key, as long as its ledger entry is kept: a repeat gets
/// `repeat` and moves nothing, wherever the ticket is by then, unless the call before it was stopped when its answer
/// stood in the ledger and the ticket was not written yet. Without one it is another move.
/// Errors: `NotFound` when there is no such ticket; `KeyReused`.
pub async fn put_ticket(ctx: &Context, wanted: Move) -> Result<Answer, Error> {
    let Move { project, key, status, caller, request } = wanted;
    let named = request.map(|request| EventId::of_move(&caller.id, request.as_str()));
    let first = match &named {
        Some(event) => ctx.store.delivery(&DeliveryId::of_ticket_event(&project, event)).await?,
        None => None,
    };
    // After its ledger entry: a call that is not over yet may write it in between.
    let ticket = existing(ctx, &project, &key).await?;
    if let Some(first) = first {
        let as_asked = |facts: &Recorded| facts.status == status;
        if first.ticket.as_ref() != Some(&key) || !first.facts.as_ref().is_some_and(as_asked) {
            return Err(Error::KeyReused);
        }
        if !first.is_unknown_to(&ticket) {
            let reason = Reason::Repeat { first: first.reason.verdict().as_str().into() };
            return Ok(Answer { delivery: first.id, reason, job: first.job });
        }
    }
    let moved = event(&ticket, ctx.clock.now(), status, None, caller.name);
    move_ticket(ctx, &TicketEvent { event: named.unwrap_or_else(|| moved.event.clone()), ..moved }).await
}

/// Changes a ticket's text. Its status stays what it is, even if somebody moves it at this moment, so
/// that an edit never starts a job. Two edits at once both count.
///
/// Errors: `NotFound` when there is no such ticket.
pub async fn edit_ticket(
    ctx: &Context,
    project: &ProjectId,
    key: &TicketKey,
    edit: Edit,
    actor: String,
) -> Result<Answer, Error> {
    let text = change_text(ctx, project, key, &edit).await?;
    let mut rounds = ctx.rounds(key);
    loop {
        let ticket = existing(ctx, project, key).await?;
        let status = ticket.status.clone();
        let event = event(&ticket, ctx.clock.now(), status, Some(text.clone()), actor.clone());
        let (facts, text) = facts_of(ctx, &event).await?;
        let decision = guard::decide(&event, &facts);
        // It may have been moved between the two reads; an edit never starts a job.
        if decision.follow != Follow::Trigger {
            // Nothing but the ledger: status and text stand already.
            let decision = Decision { follow: Follow::Nothing, ..decision };
            if let Some(answer) = apply(ctx, &event, &facts, &text, decision).await? {
                return Ok(answer);
            }
        }
        rounds.again().await?;
    }
}

async fn change_text(ctx: &Context, project: &ProjectId, key: &TicketKey, edit: &Edit) -> Result<TicketText, Error> {
    let mut rounds = ctx.rounds(key);
    loop {
        existing(ctx, project, key).await?;
        let seen = ctx.store.ticket_text(project, key).await?;
        let mut text = seen.as_ref().map(|seen| seen.text.clone()).unwrap_or_default();
        let Edit { title, description, labels, repository } = edit.clone();
        text.title = title.unwrap_or(text.title);
        text.description = description.unwrap_or(text.description);
        text.labels = labels.unwrap_or(text.labels);
        text.repository = repository.or(text.repository);
        if ctx.store.replace_text(project, key, &text, seen.as_ref()).await? == Write::Applied {
            return Ok(text);
        }
        rounds.again().await?;
    }
}

async fn existing(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<Ticket, Error> {
    let found = ctx.store.ticket(project, key).await?;
    found.ok_or_else(|| Error::NotFound { what: "ticket", name: key.to_string() })
}

/// What somebody did on the board. A ticket tool with a fast clock may have told the same ticket later
/// than now; what is done here is newer all the same.
fn event(ticket: &Ticket, now: Timestamp, status: String, text: Option<TicketText>, actor: String) -> TicketEvent {
    TicketEvent {
        source: Source::Board,
        project: ticket.project.clone(),
        event: new_event_id(),
        occurred_at: now.max(ticket.seen_at),
        actor: Some(actor),
        previous_status: None,
        key: ticket.key.clone(),
        status,
        text,
    }
}

/// The board's own events have no sender that would name them.
fn new_event_id() -> EventId {
    let id = format!("board-{}", ulid::Ulid::generate().to_string().to_lowercase());
    EventId::new(id).unwrap_or_else(|_| unreachable!("letters, digits and a dash"))
}
