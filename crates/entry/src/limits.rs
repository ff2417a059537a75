//! Checks the texts of requests, which end up in table items of at most 400 KB, in prompts and on pages. Ticket tools
//! and the board have the same limits. A job's context contains a ticket's text and a user's message together.

use crate::strict::FieldError;
use pullyard_control::JobRequest;
use pullyard_domain::job::{MAX_INPUT_CHARS, MAX_REASON_CHARS};
use pullyard_domain::project::MAX_HOLD_REASON_CHARS;
use pullyard_domain::review::MAX_MESSAGE_CHARS;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::attempt::StartRequest;
use pullyard_protocol::dead_letter::{MAX_MESSAGES, MoveDeadLetters};
use pullyard_protocol::job::{CancelJob, CreateJob, SendInput};
use pullyard_protocol::limits::{
    ACTIVE_JOBS, COMMENT, DESCRIPTION, LABEL, LABELS, NAME, PROMPT, PULL_REQUEST, STATUS, TITLE, URL,
};
use pullyard_protocol::project::{CreateProject, HoldProject, RenameColumn, RenameProject};
use pullyard_protocol::pull_request::{LinkPullRequest, ReviewPullRequest, RevisePullRequest};
use pullyard_protocol::runner::RegisterRequest;
use pullyard_protocol::ticket::{CreateTicket, EditTicket, MoveTicket, TicketEvent, WriteComment};
use std::collections::BTreeSet;
use std::time::Duration;

/// Allowed lead of a ticket tool's clock. An event from the far future would make all later events of its ticket stale.
const MAX_CLOCK_LEAD: Duration = Duration::from_secs(24 * 3_600);

pub fn check_event(event: &TicketEvent, now: Timestamp) -> Result<(), FieldError> {
    let ticket = &event.ticket;
    if event.occurred_at > now.plus(MAX_CLOCK_LEAD) {
        return fault("/occurred_at", "it is more than a day in the future".into());
    }
    event.actor.as_ref().map_or(Ok(()), |actor| check_line("/actor", actor, 0, NAME))?;
    event.previous_status.as_ref().map_or(Ok(()), |status| check_line("/previous_status", status, 0, STATUS))?;
    check_line("/ticket/title", &ticket.title, 1, TITLE)?;
    check_text("/ticket/description", &ticket.description, DESCRIPTION)?;
    check_line("/ticket/status", &ticket.status, 1, STATUS)?;
    check_labels("/ticket/labels", &ticket.labels)?;
    ticket.url.as_ref().map_or(Ok(()), |url| check_url("/ticket/url", url))
}

pub fn check_ticket(new: &CreateTicket) -> Result<(), FieldError> {
    check_new_ticket(&new.title, &new.description, new.status.as_deref(), &new.labels)
}

pub fn check_new_ticket(
    title: &str,
    description: &str,
    status: Option<&str>,
    labels: &BTreeSet<String>,
) -> Result<(), FieldError> {
    check_line("/title", title, 1, TITLE)?;
    check_text("/description", description, DESCRIPTION)?;
    status.map_or(Ok(()), |status| check_line("/status", status, 1, STATUS))?;
    check_labels("/labels", labels)
}

pub fn check_edit(edit: &EditTicket) -> Result<(), FieldError> {
    edit.title.as_ref().map_or(Ok(()), |title| check_line("/title", title, 1, TITLE))?;
    edit.description.as_ref().map_or(Ok(()), |description| check_text("/description", description, DESCRIPTION))?;
    edit.labels.as_ref().map_or(Ok(()), |all| check_labels("/labels", all))
}

pub fn check_move(to: &MoveTicket) -> Result<(), FieldError> {
    check_line("/status", &to.status, 1, STATUS)?;
    if to.last && to.before.is_some() { fault("/last", "use either `before` or `last`".to_owned()) } else { Ok(()) }
}

pub fn check_comment(comment: &WriteComment) -> Result<(), FieldError> {
    if comment.text.trim().is_empty() {
        return fault("/text", "write something".into());
    }
    check_text("/text", &comment.text, COMMENT)
}

pub fn check_hold(hold: &HoldProject) -> Result<(), FieldError> {
    check_line("/reason", &hold.reason, 1, MAX_HOLD_REASON_CHARS)
}

pub fn check_dead_letters(order: &MoveDeadLetters) -> Result<(), FieldError> {
    let is_in_range = (1..=MAX_MESSAGES).contains(&order.messages.len());
    if is_in_range { Ok(()) } else { fault("/messages", format!("use 1 to {MAX_MESSAGES}")) }
}

/// Errors: the prompt is too long.
pub fn parse_job_request(new: CreateJob) -> Result<JobRequest, FieldError> {
    new.prompt.as_ref().map_or(Ok(()), |prompt| check_text("/prompt", prompt, PROMPT))?;
    Ok(JobRequest {
        project: new.project,
        kind: new.kind,
        ticket: new.ticket,
        instructions: new.prompt,
        repository: new.repository,
        base: new.base,
        agent: new.agent,
        model: new.model,
        labels: new.labels,
        priority: new.priority,
        retry_of: None,
    })
}

pub fn check_revise(request: &RevisePullRequest) -> Result<(), FieldError> {
    check_pull_request(request.number)?;
    check_message(request.message.as_deref())
}

pub fn check_review(request: &ReviewPullRequest) -> Result<(), FieldError> {
    check_pull_request(request.number)?;
    check_message(request.message.as_deref())
}

fn check_message(message: Option<&str>) -> Result<(), FieldError> {
    let Some(message) = message else { return Ok(()) };
    let is_valid =
        !message.trim().is_empty() && message.chars().count() <= MAX_MESSAGE_CHARS && !message.contains('\0');
    if is_valid {
        Ok(())
    } else {
        fault("/message", format!("use 1 to {MAX_MESSAGE_CHARS} characters that say something"))
    }
}

pub fn check_link(request: &LinkPullRequest) -> Result<(), FieldError> {
    check_pull_request(request.number)
}

pub fn check_pull_request(number: u64) -> Result<(), FieldError> {
    let is_in_range = (1..=PULL_REQUEST).contains(&number);
    if is_in_range { Ok(()) } else { fault("/number", format!("use 1 to {PULL_REQUEST}")) }
}

pub fn check_project(new: &CreateProject) -> Result<(), FieldError> {
    check_line("/name", &new.name, 1, NAME)
}

pub fn check_rename(request: &RenameProject) -> Result<(), FieldError> {
    check_line("/name", &request.name, 1, NAME)
}

pub fn check_rename_column(request: &RenameColumn) -> Result<(), FieldError> {
    check_line("/from", &request.from, 1, STATUS)?;
    check_line("/to", &request.to, 1, STATUS)
}

pub fn check_cancel(request: &CancelJob) -> Result<(), FieldError> {
    request.reason.as_ref().map_or(Ok(()), |reason| check_line("/reason", reason, 1, MAX_REASON_CHARS))
}

pub fn check_answer(request: &SendInput) -> Result<(), FieldError> {
    let is_valid = !request.text.trim().is_empty() && request.text.chars().count() <= MAX_INPUT_CHARS;
    if is_valid { Ok(()) } else { fault("/text", format!("use 1 to {MAX_INPUT_CHARS} characters that say something")) }
}

pub fn check_start(request: &StartRequest) -> Result<(), FieldError> {
    request.task.as_ref().map_or(Ok(()), |task| check_line("/task", task, 1, NAME))
}

pub fn check_runner(request: &RegisterRequest) -> Result<(), FieldError> {
    check_line("/name", &request.name, 1, STATUS)?;
    check_line("/version", &request.version, 1, STATUS)?;
    check_labels("/labels", &request.labels)?;
    check_labels("/capabilities", &request.capabilities)?;
    check_active(&request.active)
}

pub fn check_active(jobs: &BTreeSet<JobId>) -> Result<(), FieldError> {
    if jobs.len() <= ACTIVE_JOBS { Ok(()) } else { fault("/active", format!("use at most {ACTIVE_JOBS} jobs")) }
}

fn check_line(pointer: &str, text: &str, min: usize, max: usize) -> Result<(), FieldError> {
    let is_long_enough = min == 0 || !text.trim().is_empty();
    if is_long_enough && text.chars().count() <= max && !text.chars().any(char::is_control) {
        return Ok(());
    }
    fault(pointer, format!("use {min} to {max} printable characters"))
}

fn check_text(pointer: &str, text: &str, max_bytes: usize) -> Result<(), FieldError> {
    if text.len() > max_bytes {
        return fault(pointer, format!("use at most {} KiB", max_bytes / 1024));
    }
    if text.contains('\0') { fault(pointer, "remove the NUL character".into()) } else { Ok(()) }
}

pub fn check_labels(pointer: &str, labels: &BTreeSet<String>) -> Result<(), FieldError> {
    if labels.len() > LABELS {
        return fault(pointer, format!("use at most {LABELS} labels"));
    }
    labels.iter().try_for_each(|label| check_line(pointer, label, 1, LABEL))
}

fn check_url(pointer: &str, url: &str) -> Result<(), FieldError> {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if is_web && url.len() <= URL && !url.chars().any(char::is_control) {
        return Ok(());
    }
    fault(pointer, format!("use an http address of at most {URL} bytes"))
}

fn fault(pointer: &str, fault: String) -> Result<(), FieldError> {
    Err(FieldError { pointer: pointer.into(), message: fault })
}
