//! `POST /v1/tickets/events`: decides events of ticket tools, separately, so that they cannot block the runners' calls.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use pullyard_control::{self as control, Context};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Source;
use pullyard_domain::event::{TicketEvent, TicketText};
use pullyard_domain::id::ProjectId;
use pullyard_entry::strict::{self, Unread};
use pullyard_entry::{Caller, Problem, http, invocation, limits, scope};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::ticket as wire;

pub fn router(ctx: Context) -> Router {
    let routes = Router::new().route("/v1/tickets/events", post(ticket_event)).with_state(ctx.clone());
    http::logged("tickets", &ctx, http::finished(routes))
}

/// `200` with any decision, including a refusal. An unreadable body is an error that the ledger records, too.
async fn ticket_event(
    State(ctx): State<Context>,
    caller: Caller<scope::Tickets>,
    request: Request,
) -> Result<Response, Problem> {
    let body = match strict::read(request.into_body(), strict::LARGEST).await {
        Ok(body) => body,
        Err(unread) => {
            if let Unread::TooLarge(most) = unread {
                let size = format!("over {} KiB", most / 1024);
                let reason = Reason::BodyTooLarge { size, limit: format!("{} KiB", most / 1024) };
                note(&ctx, &caller, b"too large", reason).await?;
            }
            return Err(unread.into());
        }
    };
    let read = strict::parse::<wire::TicketEvent>(&body)
        .and_then(|event| limits::event(&event, ctx.clock.now()).map(|()| event));
    let event = match read {
        Ok(event) => event,
        Err(fault) => {
            let pointer = if fault.pointer.is_empty() { "/".into() } else { fault.pointer.clone() };
            note(&ctx, &caller, &body, Reason::BodyUnreadable { pointer, fault: fault.fault.clone() }).await?;
            return Err(fault.into());
        }
    };
    caller.may_touch(&event.project)?;
    invocation::note("project", &event.project);
    invocation::note("ticket", &event.ticket.key);
    let answer = control::move_ticket(&ctx, &domain_event(event)).await?;
    invocation::note("delivery", &answer.delivery);
    answer.job.iter().for_each(|job| invocation::note("job", job));
    Ok(axum::Json(Decision::new(answer.delivery, &answer.reason, answer.job)).into_response())
}

async fn note(ctx: &Context, caller: &Caller<scope::Tickets>, body: &[u8], reason: Reason) -> Result<(), Problem> {
    let named = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|body| ProjectId::new(body.get("project")?.as_str()?).ok())
        .filter(|project| caller.may_touch(project).is_ok());
    // Without a readable project, the entry belongs to the project `unreadable`.
    let project = named.or_else(|| ProjectId::new("unreadable").ok());
    if let Some(project) = project {
        control::record_unreadable(ctx, &caller.id, &project, body, reason).await?;
    }
    Ok(())
}

fn domain_event(event: wire::TicketEvent) -> TicketEvent {
    let ticket = event.ticket;
    TicketEvent {
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
    }
}
