//! The route that deletes a comment.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::caller::Caller;
use super::conversation::{CommentPath, parse_comment_id};
use super::refusal::Refusal;
use super::{deletions, pull_requests};
use pullyard_local_forge::{access::Requirement, forge_state::Shared, reviews::Rejection};

pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number, id)): CommentPath,
) -> Result<StatusCode, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_WRITE).await?;
    let number = pull_requests::find(&entry, &number).await?.record.number;
    match deletions::delete(&shared, &entry, &actor, (number, parse_comment_id(&id)?)).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(Rejection::Forbidden(_)) => Err(Refusal::forbidden("You do not have permission to delete this comment.")),
        Err(other) => Err(other.into()),
    }
}
