//! Checks the texts of requests, which end up in table items of at most 400 KB, in prompts and on pages. Ticket tools
//! and the board have the same limits. A job's context contains a ticket's text and a user's message together.

use crate::strict::Fault;
use pullyard_domain::id::JobId;
use pullyard_domain::job::MAX_INPUT_CHARS;
use pullyard_domain::project::MAX_HOLD_REASON_CHARS;
use pullyard_domain::review::MAX_MESSAGE_CHARS;
use pullyard_domain::time::Timestamp;
use pullyard_protocol::attempt::StartRequest;
use pullyard_protocol::dead_letter::{MOST_NAMED, MoveDeadLetters};
use pullyard_protocol::job::{AnswerJob, CancelJob, CreateJob};
use pullyard_protocol::limits::{ACTIVE, DESCRIPTION, LABEL, LABELS, NAME, PROMPT, PULL_REQUEST, STATUS, TITLE, URL};
use pullyard_protocol::project::{CreateProject, HoldProject};
use pullyard_protocol::pull::{LinkPullRequest, RevisePullRequest};
use pullyard_protocol::runner::RegisterRequest;
use pullyard_protocol::ticket::{CreateTicket, EditTicket, MoveTicket, TicketEvent};
use std::collections::BTreeSet;
use std::time::Duration;

/// Allowed lead of a ticket tool's clock. An event from the far future would make all later events of its ticket stale.
const AHEAD: Duration = Duration::from_secs(24 * 3_600);

pub fn event(event: &TicketEvent, now: Timestamp) -> Result<(), Fault> {
    let ticket = &event.ticket;
    if event.occurred_at > now.plus(AHEAD) {
        return Err(Fault { pointer: "/occurred_at".into(), fault: "it is more than a day in the future".into() });
    }
    event.actor.as_ref().map_or(Ok(()), |actor| words("/actor", actor, 0, NAME))?;
    event.previous_status.as_ref().map_or(Ok(()), |status| words("/previous_status", status, 0, STATUS))?;
    words("/ticket/title", &ticket.title, 1, TITLE)?;
    body("/ticket/description", &ticket.description, DESCRIPTION)?;
    words("/ticket/status", &ticket.status, 1, STATUS)?;
    labels("/ticket/labels", &ticket.labels)?;
    ticket.url.as_ref().map_or(Ok(()), |url| address("/ticket/url", url))
}

pub fn ticket(new: &CreateTicket) -> Result<(), Fault> {
    words("/title", &new.title, 1, TITLE)?;
    body("/description", &new.description, DESCRIPTION)?;
    new.status.as_ref().map_or(Ok(()), |status| words("/status", status, 1, STATUS))?;
    labels("/labels", &new.labels)
}

pub fn edit(edit: &EditTicket) -> Result<(), Fault> {
    edit.title.as_ref().map_or(Ok(()), |title| words("/title", title, 1, TITLE))?;
    edit.description.as_ref().map_or(Ok(()), |description| body("/description", description, DESCRIPTION))?;
    edit.labels.as_ref().map_or(Ok(()), |all| labels("/labels", all))
}

pub fn put(to: &MoveTicket) -> Result<(), Fault> {
    words("/status", &to.status, 1, STATUS)
}

pub fn hold(hold: &HoldProject) -> Result<(), Fault> {
    words("/reason", &hold.reason, 1, MAX_HOLD_REASON_CHARS)
}

pub fn dead_letters(order: &MoveDeadLetters) -> Result<(), Fault> {
    let named = (1..=MOST_NAMED).contains(&order.messages.len());
    if named { Ok(()) } else { fault("/messages", format!("use 1 to {MOST_NAMED}")) }
}

pub fn job(new: &CreateJob) -> Result<(), Fault> {
    new.prompt.as_ref().map_or(Ok(()), |prompt| body("/prompt", prompt, PROMPT))
}

pub fn revise(request: &RevisePullRequest) -> Result<(), Fault> {
    pull_request(request.number)?;
    let Some(message) = &request.message else { return Ok(()) };
    let says = !message.trim().is_empty() && message.chars().count() <= MAX_MESSAGE_CHARS && !message.contains('\0');
    if says { Ok(()) } else { fault("/message", format!("use 1 to {MAX_MESSAGE_CHARS} characters that say something")) }
}

pub fn link(request: &LinkPullRequest) -> Result<(), Fault> {
    pull_request(request.number)
}

fn pull_request(number: u64) -> Result<(), Fault> {
    let known = (1..=PULL_REQUEST).contains(&number);
    if known { Ok(()) } else { fault("/number", format!("use 1 to {PULL_REQUEST}")) }
}

pub fn project(new: &CreateProject) -> Result<(), Fault> {
    words("/name", &new.name, 1, NAME)
}

pub fn cancel(request: &CancelJob) -> Result<(), Fault> {
    request.reason.as_ref().map_or(Ok(()), |reason| words("/reason", reason, 1, pullyard_domain::job::MAX_REASON_CHARS))
}

pub fn answer(request: &AnswerJob) -> Result<(), Fault> {
    let says = !request.text.trim().is_empty() && request.text.chars().count() <= MAX_INPUT_CHARS;
    if says { Ok(()) } else { fault("/text", format!("use 1 to {MAX_INPUT_CHARS} characters that say something")) }
}

pub fn start(request: &StartRequest) -> Result<(), Fault> {
    request.task.as_ref().map_or(Ok(()), |task| words("/task", task, 1, NAME))
}

pub fn runner(request: &RegisterRequest) -> Result<(), Fault> {
    words("/name", &request.name, 1, STATUS)?;
    words("/version", &request.version, 1, STATUS)?;
    labels("/labels", &request.labels)?;
    labels("/capabilities", &request.capabilities)?;
    active(&request.active)
}

/// Checks a runner's active jobs, which include a few whose end the runner has not received.
pub fn active(jobs: &BTreeSet<JobId>) -> Result<(), Fault> {
    if jobs.len() > ACTIVE {
        return fault("/active", format!("use at most {ACTIVE} jobs"));
    }
    Ok(())
}

fn words(pointer: &str, text: &str, least: usize, most: usize) -> Result<(), Fault> {
    let enough = least == 0 || !text.trim().is_empty();
    if enough && text.chars().count() <= most && !text.chars().any(char::is_control) {
        return Ok(());
    }
    fault(pointer, format!("use {least} to {most} printable characters"))
}

fn body(pointer: &str, text: &str, most: usize) -> Result<(), Fault> {
    if text.len() > most {
        return fault(pointer, format!("use at most {} KiB", most / 1024));
    }
    if text.contains('\0') { fault(pointer, "remove the NUL character".into()) } else { Ok(()) }
}

fn labels(pointer: &str, labels: &BTreeSet<String>) -> Result<(), Fault> {
    if labels.len() > LABELS {
        return fault(pointer, format!("use at most {LABELS} labels"));
    }
    labels.iter().try_for_each(|label| words(pointer, label, 1, LABEL))
}

fn address(pointer: &str, url: &str) -> Result<(), Fault> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    if web && url.len() <= URL && !url.chars().any(char::is_control) {
        return Ok(());
    }
    fault(pointer, format!("use an http address of at most {URL} bytes"))
}

fn fault(pointer: &str, fault: String) -> Result<(), Fault> {
    Err(Fault { pointer: pointer.into(), fault })
}
