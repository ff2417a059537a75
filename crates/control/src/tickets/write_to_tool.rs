//! Writes the wanted state of a ticket to its tool, before the ticket records it.

use crate::corrupt::load_readable_tracker;
use crate::counters::Counter;
use crate::facts::load_facts;
use crate::host_rest::load_tool_rest;
use crate::tickets::move_ticket::{move_ticket, new_delivery};
use crate::tickets::step_result::StepResult;
use crate::trackers::call_error::CallError;
use crate::trackers::tool::{connect, record_call};
use crate::{Context, Error};
use pullyard_domain::project::Settings;
use pullyard_domain::project::tracker::{Tracker, TrackerKind, TrackerSettings};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{EventId, JobId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::event::TicketEvent;
use pullyard_domain::ticket::guard::decide;
use pullyard_domain::ticket::{Badge, StatusMove, Ticket};
use pullyard_tracker::{Applied, Desired, Error as ToolError, Link, Step, Subject};
use std::time::Duration;

/// An unsynced ticket is counted after this time.
const LATE: Duration = Duration::from_secs(3_600);

/// Calls the tool, then writes the ticket. A failed call only postpones the next one.
/// Writes: see `Store::update_ticket` and `move_ticket`; the health of the connection.
/// Idempotent: the tool ignores a version that it has; a crash before the write repeats the call.
pub(super) async fn write_to_tool(
    ctx: &Context,
    settings: &Settings,
    tool_settings: &TrackerSettings,
    ticket: &Ticket,
) -> Result<StepResult, Error> {
    let Some(connection) = load_readable_tracker(ctx, &tool_settings.connection).await? else {
        return postpone(
            ctx,
            ticket,
            format!("there is no ticket tool {} that this version knows", tool_settings.connection),
            None,
        )
        .await;
    };
    if let Some(until) = load_tool_rest(ctx, &connection).await? {
        let problem = connection.problem.unwrap_or_else(|| "the tool rests".into());
        return postpone(ctx, ticket, problem, Some(until)).await;
    }
    let trigger = tool_settings.status_id(&settings.statuses.trigger);
    let mut leaves_trigger = false;
    let result = match plan(ctx, &connection, settings, tool_settings, ticket) {
        Ok((subject, mut desired)) => {
            if let Some(link) = desired.link.as_mut().filter(|_| !connection.kind.is_readable()) {
                link.state = load_pull_request_state(ctx, ticket).await?;
            }
            // A retry shows the trigger status on its card before the tool gets it.
            let is_of_retry = ticket.written.as_ref() == Some(&settings.statuses.trigger)
                && ticket.is_replaced_status(&settings.statuses.trigger, settings);
            let leaves = |step: &Step| Some(&*step.to) != trigger && Some(&*step.expected) == trigger && !is_of_retry;
            leaves_trigger = desired.step.as_ref().is_some_and(leaves);
            let result = Box::pin(apply(ctx, &connection, (ticket, settings), &subject, &mut desired)).await;
            leaves_trigger |= desired.step.as_ref().is_some_and(leaves);
            result
        }
        Err(error) => Err(error),
    };
    // The health must not delay the record of a successful call.
    if let Err(error) = record_call(ctx, &connection, result.as_ref().err()).await {
        tracing::warn!(error = &error as &dyn std::error::Error, tracker = %connection.id, "health not recorded");
    }
    let status = match result {
        Ok(Applied::Shown) => None,
        Ok(Applied::Moved { status }) => Some(tool_settings.status_name(&status).to_owned()),
        // The board keeps the ticket, and decides a move that a user requested.
        Err(CallError { error: ToolError::NotFound, .. }) => {
            let lost = Ticket { tracker: None, sync_fault: None, ..ticket.clone() };
            return Ok(StepResult::from_write(ctx.store.update_ticket(&lost).await?));
        }
        Err(failure) => {
            let problem = failure.error.to_string();
            tracing::warn!(project = %ticket.project, ticket = %ticket.key, problem, "ticket tool not written");
            return postpone(ctx, ticket, problem, failure.rest.map(|rest| ctx.clock.now().plus(rest))).await;
        }
    };
    let Some(status) = status else { return Box::pin(record_shown(ctx, settings, ticket, leaves_trigger)).await };
    if connection.kind.is_readable() {
        ctx.wake_look(&ticket.project, &connection.id, &ticket.key, None).await?;
    }
    record_moved(ctx, settings, ticket, status).await
}

/// Repeats the write at the end of the connection's rest, or later each time.
pub(super) async fn postpone(
    ctx: &Context,
    ticket: &Ticket,
    problem: String,
    rest_until: Option<Timestamp>,
) -> Result<StepResult, Error> {
    let problem = match rest_until {
        Some(until) => format!("{problem}; it is not called before {until}"),
        None => problem,
    };
    let now = ctx.clock.now();
    let postponed = ticket.postpone_sync(problem, now, rest_until);
    if postponed.sync_fault.as_ref().is_some_and(|fault| now.since(fault.since) >= LATE) {
        ctx.counters().add(Counter::TicketUnsynced);
    }
    Ok(StepResult::postponed_after(ctx.store.update_ticket(&postponed).await?))
}

async fn load_pull_request_state(ctx: &Context, ticket: &Ticket) -> Result<Option<PullRequestState>, Error> {
    let Some(link) = &ticket.pull_request else { return Ok(None) };
    let stored = ctx.store.load_pull_request(&link.id).await?;
    Ok(stored.filter(|stored| stored.project == ticket.project).map(|stored| stored.state))
}

async fn apply(
    ctx: &Context,
    connection: &Tracker,
    (ticket, settings): (&Ticket, &Settings),
    subject: &Subject,
    desired: &mut Desired,
) -> Result<Applied, CallError> {
    let tool = connect(ctx, connection, (&ticket.project, &ticket.key), settings).await?;
    let applied = tool.apply(subject, desired, ctx.clock.now()).await?;
    if let (Applied::Moved { status }, Some(step), Some(names)) = (&applied, &mut desired.step, &settings.tracker) {
        // The tool has made an earlier move whose record was lost, and moves the ticket from there.
        if ticket.is_replaced_status(names.status_name(status), settings) {
            step.expected.clone_from(status);
            return Ok(tool.apply(subject, desired, ctx.clock.now()).await?);
        }
    }
    Ok(applied)
}

/// Records that the tool shows the wanted state. A move that a user requested on the board is an event then: it may start
/// a job, unless the user has withdrawn it. The event is repeated until the ticket records it.
pub(super) async fn record_shown(
    ctx: &Context,
    settings: &Settings,
    ticket: &Ticket,
    leaves_trigger: bool,
) -> Result<StepResult, Error> {
    let (Some(status), Some(request)) = (ticket.requested_status(), &ticket.wanted.event) else {
        return Ok(StepResult::from_write(ctx.store.update_ticket(&ticket.after_write_back(settings)).await?));
    };
    let event = new_event(ticket, Source::Board, request.clone(), status);
    let event = TicketEvent { actor: ticket.wanted.by.clone(), ..event };
    // Boxed: a whole trigger is a large future.
    let answer = Box::pin(move_ticket(ctx, &event)).await?;
    let current = ctx.load_ticket(&ticket.project, &ticket.key).await?;
    if current.wanted.version != ticket.wanted.version {
        return Ok(StepResult::Stale);
    }
    let mut next = match answer.reason {
        // The tool has reported a later move, so its next report is no echo.
        Reason::StaleEvent { .. } => current.after_refused_move(settings),
        _ => current.after_write_back(settings),
    };
    // A tool that was in the trigger status may report only now that it was.
    next.written_trigger.take_if(|_| !leaves_trigger && status != settings.statuses.trigger);
    Ok(StepResult::from_write(ctx.store.update_ticket(&next).await?))
}

/// Records that a user moved the ticket in the tool, to `status`. That is not yet an entry into the trigger status: the
/// tool reports it, or it is read, and another event for the same entry could start a second job.
async fn record_moved(
    ctx: &Context,
    settings: &Settings,
    ticket: &Ticket,
    status: String,
) -> Result<StepResult, Error> {
    let next = ticket.after_refused_move(settings);
    if status == settings.statuses.trigger {
        return Ok(StepResult::from_write(ctx.store.update_ticket(&next).await?));
    }
    let event = new_event(ticket, Source::TicketTool, EventId::new(ticket.message_id())?, &status);
    let (facts, _) = load_facts(ctx, &event).await?;
    let delivery = new_delivery(&event, &facts, &decide(&event, &facts).reason);
    let next = Ticket { status, written: None, seen_event: Some(event.event), ..next };
    Ok(StepResult::from_write(ctx.store.record_delivery_and_ticket(&delivery, &next).await?))
}

fn new_event(ticket: &Ticket, source: Source, event: EventId, status: &str) -> TicketEvent {
    TicketEvent {
        source,
        project: ticket.project.clone(),
        event,
        // The tool's clock may differ, and its next event must not look older.
        occurred_at: ticket.seen_at,
        actor: None,
        previous_status: None,
        key: ticket.key.clone(),
        status: status.to_owned(),
        text: None,
        rank: None,
        is_own: false,
    }
}

/// Errors: `UnknownStatus` if the tool has no status for the wanted one.
fn plan(
    ctx: &Context,
    connection: &Tracker,
    settings: &Settings,
    tool: &TrackerSettings,
    ticket: &Ticket,
) -> Result<(Subject, Desired), CallError> {
    let wanted = &ticket.wanted;
    let to = ticket.wanted_status(settings);
    let to = to.map(|name| tool.status_id(name).ok_or_else(|| ToolError::UnknownStatus { id: name.to_owned() }));
    // A status without a name is its id.
    let expected = |step: &StatusMove| tool.status_id(&step.expected).unwrap_or(&step.expected).to_owned();
    let step = to.transpose()?.zip(wanted.status.as_ref().map(expected));
    let is_move = |step: &Step| step.to != step.expected || !wanted.replaced.is_empty();
    let comment = wanted.comment.as_ref().filter(|_| tool.comment);
    let ended = || ticket.last_job.as_ref().map(|last| &last.id);
    let job = wanted.comment.as_ref().map(|comment| &comment.job).or(ticket.active_job.as_ref()).or_else(ended);
    let desired = Desired {
        version: wanted.version,
        message: ticket.message_id(),
        step: step.map(|(to, expected)| Step { to: to.to_owned(), expected }).filter(is_move),
        badge: wanted.badge.map(|badge| tool.badges.label(badge).to_owned()),
        badges: [Badge::AiFailed, Badge::AiWaiting].map(|badge| tool.badges.label(badge).to_owned()).into(),
        comment: comment.map(|comment| match connection.kind {
            TrackerKind::Http => comment.text.clone(),
            _ => format!("{}\n{}", comment.text, job_url(ctx, &comment.job)),
        }),
        link: ticket.pull_request.as_ref().map(|link| Link {
            url: link.url.clone(),
            title: format!("Pull request #{}", link.id.number),
            state: None,
        }),
    };
    let subject = Subject {
        project: ticket.project.to_string(),
        ticket: ticket.key.to_string(),
        job: job.map(JobId::to_string),
        url: job.map(|job| job_url(ctx, job)),
    };
    Ok((subject, desired))
}

fn job_url(ctx: &Context, job: &JobId) -> String {
    format!("{}/jobs/{job}", ctx.pages_url())
}
