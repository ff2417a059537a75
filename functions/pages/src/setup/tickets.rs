//! Deletes tickets. The API function runs this form, because only its role may delete their items.

use crate::fault::Fault;
use crate::frame::redirect;
use crate::tickets::{self, TicketQuery};
use crate::visit::PageContext;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use pullyard_control::{self as control, Context};
use pullyard_domain::id::TicketKey;
use pullyard_entry::{Path, Problem, Query};

pub(super) fn routes() -> Router<Context> {
    Router::new().route("/setup/tickets/{key}/delete", post(delete))
}

async fn delete(
    visit: PageContext,
    key: Result<Path<TicketKey>, Problem>,
    query: Result<Query<TicketQuery>, Problem>,
) -> Result<Response, Fault> {
    let (project, key) = tickets::load_place(&visit, key, query).await?;
    let Err(error) = control::delete_ticket(&visit.ctx, &project.id, &key).await else {
        return Ok(redirect(&format!("/board?project={}", project.id)));
    };
    match Fault::from(error) {
        fault if fault.status == StatusCode::CONFLICT => {
            tickets::render_refusal(&visit, &project, &key, fault, None).await
        }
        fault => Err(fault),
    }
}
