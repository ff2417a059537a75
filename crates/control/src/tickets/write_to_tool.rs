//! Writes the wanted state of a ticket to its tool, before the ticket records it.

use crate::tickets::move_ticket::move_ticket;
use crate::tickets::settle_ticket::StepResult;
use crate::trackers::tool::{CallError, connect, record_call};
use crate::{Context, Error};
use pullyard_domain::delivery::Source;
use pullyard_domain::event::TicketEvent;
use pullyard_domain::id::{EventId, JobId};
use pullyard_domain::project::Settings;
use pullyard_domain::ticket::{Badge, StatusMove, Ticket};
use pullyard_domain::tracker::{Tracker, TrackerKind, TrackerSettings};
use pullyard_tracker::{Applied, Desired, Error as ToolError, Link, Step, Subject};

/// Calls the tool, then writes the ticket. A failed call only postpones the next one.
/// Writes: see `Store::update_ticket` and `move_ticket`; the health of the connection.
/// Idempotent: the tool ignores a version that it has; a crash before the write repeats the call.
pub(super) async fn write_to_tool(
    ctx: &Context,
    settings: &Settings,
    tool_settings: &TrackerSettings,
    ticket: &Ticket,
) -> Result<StepResult, Error> {
    let now = ctx.clock.now();
    let postpone = async |problem, until| {
        let write = ctx.store.update_ticket(&ticket.postpone_sync(problem, ctx.clock.now(), until)).await?;
        Ok(StepResult::from_write(write))
    };
    let Some(connection) = ctx.store.load_tracker(&tool_settings.connection).await? else {
        return postpone(format!("there is no ticket tool {}", tool_settings.connection), None).await;
    };
    if let Some(until) = connection.rest_until.filter(|until| *until > now) {
        let problem = connection.problem.unwrap_or_else(|| "the tool asked for a pause".into());
        return postpone(problem, Some(until)).await;
    }
    let result = match plan(ctx, &connection, settings, tool_settings, ticket) {
        Ok((subject, desired)) => Box::pin(apply(ctx, &connection, (ticket, settings), &subject, desired)).await,
        Err(error) => Err(error),
    };
    // The health must not delay the record of a successful call.
    if let Err(error) = record_call(ctx, &connection, result.as_ref().err()).await {
        tracing::warn!(error = &error as &dyn std::error::Error, tracker = %connection.id, "health not recorded");
    }
    let status = match result {
        Ok(Applied::Shown) => None,
        Ok(Applied::Moved { status }) => Some(tool_settings.status_name(&status).to_owned()),
        // The board keeps the ticket.
        Err(CallError { error: ToolError::NotFound, .. }) => {
            let lost = Ticket { tracker: None, ..ticket.after_write_back(settings) };
            return Ok(StepResult::from_write(ctx.store.update_ticket(&lost).await?));
        }
        Err(failure) => {
            let problem = failure.error.to_string();
            tracing::warn!(project = %ticket.project, ticket = %ticket.key, problem, "ticket tool not written");
            return postpone(problem, failure.rest.map(|rest| ctx.clock.now().plus(rest))).await;
        }
    };
    Box::pin(record_shown(ctx, settings, ticket, status)).await
}

async fn apply(
    ctx: &Context,
    connection: &Tracker,
    (ticket, settings): (&Ticket, &Settings),
    subject: &Subject,
    mut desired: Desired,
) -> Result<Applied, CallError> {
    let tool = connect(ctx, connection, (&ticket.project, &ticket.key), settings).await?;
    let applied = tool.apply(subject, &desired, ctx.clock.now()).await?;
    if let (Applied::Moved { status }, Some(step), Some(names)) = (&applied, &mut desired.step, &settings.tracker) {
        // The tool has made an earlier move whose record was lost.
        if ticket.is_replaced_status(names.status_name(status), settings) {
            step.expected.clone_from(status);
            return Ok(tool.apply(subject, &desired, ctx.clock.now()).await?);
        }
    }
    Ok(applied)
}

/// Records that the tool shows the wanted state. A user's move, on the board or in the tool, is an event then: it may
/// start a job. It is repeated until the ticket records it.
pub(super) async fn record_shown(
    ctx: &Context,
    settings: &Settings,
    ticket: &Ticket,
    moved_to: Option<String>,
) -> Result<StepResult, Error> {
    let requested = ticket.requested_status().filter(|_| moved_to.is_none());
    let event = match (requested, &moved_to) {
        (Some(status), _) => Some((Source::Board, status, ticket.wanted.by.clone())),
        (None, Some(status)) => Some((Source::TicketTool, status.as_str(), None)),
        (None, None) => None,
    };
    let mut current = ticket.clone();
    if let Some((source, status, actor)) = event {
        let event = TicketEvent {
            source,
            project: ticket.project.clone(),
            event: match ticket.wanted.event.clone().filter(|_| requested.is_some()) {
                Some(request) => request,
                None => EventId::new(ticket.message_id())?,
            },
            // The tool's clock may differ from ours: its next event must not be older.
            occurred_at: ticket.seen_at,
            actor,
            previous_status: None,
            key: ticket.key.clone(),
            status: status.to_owned(),
            text: None,
            rank: None,
        };
        // Boxed: a whole trigger is a large future.
        Box::pin(move_ticket(ctx, &event)).await?;
        current = ctx.load_ticket(&ticket.project, &ticket.key).await?;
        if current.wanted.version != ticket.wanted.version {
            return Ok(StepResult::Stale);
        }
    }
    let mut next = current.after_write_back(settings);
    if moved_to.is_some() {
        (next.status, next.written) = (current.status, current.written);
        next.written_trigger = current.written_trigger;
    }
    Ok(StepResult::from_write(ctx.store.update_ticket(&next).await?))
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
        link: ticket
            .pull_request
            .as_ref()
            .map(|link| Link { url: link.url.clone(), title: format!("Pull request #{}", link.id.number) }),
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
