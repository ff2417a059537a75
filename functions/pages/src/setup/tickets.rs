//! Deletes tickets and comments. The API function runs these forms, because only its role may delete their items.

use crate::board::ticket_url;
use crate::prelude::*;
use crate::tickets::{self, TicketQuery};
use axum::Router;
use axum::routing::post;
use pullyard_control::CommentChange;
use pullyard_domain::text::id::TicketKey;

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/setup/tickets/{key}/delete", post(delete))
        .route("/setup/tickets/{key}/comments/{comment}/delete", post(delete_comment))
}

async fn delete(
    visit: PageContext,
    Path(key): Path<TicketKey>,
    Query(query): Query<TicketQuery>,
) -> Result<Response, Fault> {
    let (project, key) = tickets::load_place(&visit, key, query).await?;
    let Err(error) = control::delete_ticket(&visit.ctx, &project.id, &key).await else {
        return Ok(redirect(&format!("/board?project={}", project.id)));
    };
    render_refusal(&visit, &project, &key, error).await
}

async fn delete_comment(
    visit: PageContext,
    Path((key, number)): Path<(TicketKey, u32)>,
    Query(query): Query<TicketQuery>,
) -> Result<Response, Fault> {
    let (project, key) = tickets::load_place(&visit, key, query).await?;
    let editor = visit.visitor.editor();
    let change = CommentChange { project: project.id.clone(), key: key.clone(), number, editor };
    let Err(error) = control::delete_comment(&visit.ctx, change).await else {
        return Ok(redirect(&format!("{}#comments", ticket_url(&project.id, &key))));
    };
    render_refusal(&visit, &project, &key, error).await
}

async fn render_refusal(
    visit: &PageContext,
    project: &Project,
    key: &TicketKey,
    error: Error,
) -> Result<Response, Fault> {
    match Fault::from(error) {
        fault if fault.status == StatusCode::CONFLICT => {
            tickets::render_refusal(visit, project, key, fault, None).await
        }
        fault => Err(fault),
    }
}
