//! Parses and decides the events that ticket tools send.

use crate::strict::{self, FieldError};
use crate::{Context, Problem, invocation, limits};
use pullyard_control::{self as control, move_ticket};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::ProjectId;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::event::{TicketEvent, TicketText};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::ticket as wire;

pub fn parse(body: &[u8], now: Timestamp) -> Result<TicketEvent, FieldError> {
    let event = strict::parse::<wire::TicketEvent>(body)?;
    limits::check_event(&event, now)?;
    let ticket = event.ticket;
    Ok(TicketEvent {
        source: Source::TicketTool,
        project: event.project,
        event: event.event_id,
        occurred_at: event.occurred_at,
        actor: event.actor,
        previous_status: event.previous_status,
        key: ticket.key,
        status: ticket.status,
        text: Some(TicketText {
            title: ticket.title,
            description: ticket.description,
            labels: ticket.labels,
            url: ticket.url,
            repository: ticket.repository,
        }),
        rank: None,
        is_own: false,
    })
}

/// The project that an unreadable event names.
pub fn named_project(body: &[u8]) -> Option<ProjectId> {
    let body = serde_json::from_slice::<serde_json::Value>(body).ok()?;
    ProjectId::new(body.get("project")?.as_str()?).ok()
}

/// Records an unreadable event of an authorized sender. Without a project, the entry belongs to `unreadable`.
pub async fn record_unreadable(
    ctx: &Context,
    sender: &str,
    project: Option<ProjectId>,
    body: &[u8],
    reason: Reason,
) -> Result<(), Problem> {
    if let Some(project) = project.or_else(|| ProjectId::new("unreadable").ok()) {
        control::record_unreadable(ctx, sender, &project, body, reason).await?;
    }
    Ok(())
}

/// Why the ledger has an event that cannot be parsed.
pub fn unreadable_reason(fault: &FieldError) -> Reason {
    let pointer = if fault.pointer.is_empty() { "/".into() } else { fault.pointer.clone() };
    Reason::BodyUnreadable { pointer, fault: fault.message.clone() }
}

/// Decides an event of an authorized tool.
pub async fn decide(ctx: &Context, event: &TicketEvent) -> Result<Decision, Problem> {
    invocation::record_id("project", &event.project);
    invocation::record_id("ticket", &event.key);
    let answer = move_ticket(ctx, event).await?;
    invocation::record_id("delivery", &answer.delivery);
    answer.job.iter().for_each(|job| invocation::record_id("job", job));
    Ok(Decision::new(answer.delivery, &answer.reason, answer.job))
}
