//! Prints the ticket and the decision after a change.

use crate::client::prelude::*;
use pullyard_domain::text::decision::Verdict;
use pullyard_protocol::decision::Decision;
use pullyard_protocol::ticket::{MoveTicket, MovedTicket, Ticket, TicketAnswer};

/// A move without a decision changed only the order.
pub(super) fn print_move(session: &Session, moved: MovedTicket, to: &MoveTicket) -> Result<(), CliError> {
    if session.screen.is_json() && moved.decision.is_none() {
        return session.screen.json(&moved);
    }
    let MovedTicket { ticket, decision } = moved;
    let Some(decision) = decision else {
        if let Some(note) = ticket.sync_note.as_ref().filter(|_| ticket.status != to.status) {
            return session.screen.print_line(&sanitize(note));
        }
        let place = to.before.as_ref().map_or_else(|| "to the end".to_owned(), |next| format!("before {next}"));
        let line = format!("Moved {} {place} in {}", ticket.key, ticket.status);
        return session.screen.print_line(&sanitize(&line));
    };
    print_answer(session, &TicketAnswer { ticket, decision }, Change::Moved)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Created,
    Edited,
    Moved,
}

/// A refusal concerns only the job; the ticket was changed. An edit requests no job.
pub(super) fn print_answer(session: &Session, answer: &TicketAnswer, change: Change) -> Result<(), CliError> {
    let TicketAnswer { ticket, decision } = answer;
    let screen = &session.screen;
    if screen.is_json() {
        screen.json(answer)?;
    }
    if change != Change::Edited && matches!(decision.verdict, Verdict::Refused | Verdict::Invalid) {
        let sentence = decision.sentence.trim_end_matches('.');
        let change_note = match decision.code.as_str() {
            "status_unchanged" => String::new(),
            _ => format!(". {}", change_phrase(ticket, change)),
        };
        screen.error(&format!("{sentence} ({}){change_note}", decision.code));
        screen.help(&decision.help);
        return Err(CliError::silent(Exit::Refused));
    }
    if !screen.is_json() {
        match screen.width() {
            Some(_) => {
                let outcome = match (change, decision.code.as_str()) {
                    (Change::Created, "not_trigger_status") => &decision.help,
                    _ => &decision.sentence,
                };
                screen.print_line(&sanitize(&format!("{}. {outcome}", change_phrase(ticket, change))))?
            }
            None => screen.print_line(&render_plain(ticket, decision))?,
        }
        if let Some(job) = &decision.job {
            screen.hint(&format!("watch it with `pullyard jobs watch {}`", job.short()));
        }
    }
    Ok(())
}

fn change_phrase(ticket: &Ticket, change: Change) -> String {
    let Ticket { key, status, .. } = ticket;
    match change {
        Change::Created => format!("Created {key} in {status}"),
        Change::Edited => format!("Edited {key} in {status}"),
        Change::Moved => format!("Moved {key} to {status}"),
    }
}

fn render_plain(ticket: &Ticket, decision: &Decision) -> String {
    let job = decision.job.as_ref().map(|job| job.as_str()).unwrap_or_default();
    let fields =
        [ticket.key.as_str(), &ticket.status, decision.verdict.as_str(), &decision.code, job, &decision.sentence];
    fields.map(sanitize).join("\t")
}
