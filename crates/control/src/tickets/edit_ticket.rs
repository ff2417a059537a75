//! Edits the text of a ticket on the built-in board.

use crate::answer::Answer;
use crate::facts::load_facts;
use crate::requester::{Requester, hash_request, new_request};
use crate::tickets::board::{find_first_answer, new_board_event, new_event_id, stored_answer};
use crate::tickets::move_ticket::{log_answer, new_delivery};
use crate::{Context, Error};
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::{EventId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::ticket::event::{TicketEvent, TicketText};
use pullyard_domain::ticket::guard::{self, FollowUp};
use pullyard_store::{TextEdit, Write};
use serde::Serialize;
use std::collections::BTreeSet;

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
