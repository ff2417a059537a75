//! `POST /v1/tickets/events`: decides events of ticket tools, separately, so that they cannot block the runners' calls.

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use pullyard_control::Context;
use pullyard_domain::text::decision::Reason;
use pullyard_entry::strict::{self, ReadError};
use pullyard_entry::{Caller, Problem, http, scope, ticket_event};

pub fn router(ctx: Context) -> Router {
    let routes = Router::new().route("/v1/tickets/events", post(receive_event)).with_state(ctx.clone());
    http::with_logging("tickets", &ctx, http::with_fallbacks(routes))
}

/// `200` with any decision, including a refusal. An unreadable body is an error that the ledger records, too.
async fn receive_event(caller: Caller<scope::Tickets>, request: Request) -> Result<Response, Problem> {
    let body = match strict::read(request.into_body(), strict::MAX_BODY_BYTES).await {
        Ok(body) => body,
        Err(error) => {
            if let ReadError::TooLarge(max_bytes) = error {
                let size = format!("over {} KiB", max_bytes / 1024);
                let reason = Reason::BodyTooLarge { size, limit: format!("{} KiB", max_bytes / 1024) };
                record_unreadable(&caller, b"too large", reason).await?;
            }
            return Err(error.into());
        }
    };
    let event = match ticket_event::parse(&body, caller.ctx.clock.now()) {
        Ok(event) => event,
        Err(fault) => {
            record_unreadable(&caller, &body, ticket_event::unreadable_reason(&fault)).await?;
            return Err(fault.into());
        }
    };
    caller.authorize_project(&event.project)?;
    Ok(axum::Json(ticket_event::decide(&caller.ctx, &event).await?).into_response())
}

async fn record_unreadable(caller: &Caller<scope::Tickets>, body: &[u8], reason: Reason) -> Result<(), Problem> {
    let project = ticket_event::named_project(body).filter(|project| caller.authorize_project(project).is_ok());
    ticket_event::record_unreadable(&caller.ctx, &caller.id, project, body, reason).await
}
