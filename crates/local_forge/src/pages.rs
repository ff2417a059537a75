//! Redirects a pull request's address at the forge to its page in Pullyard.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use crate::forge_state::Shared;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/{owner}/{name}/pull/{number}", get(redirect))
}

async fn redirect(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Path<(String, String, String)>,
) -> Response {
    let number = number.parse::<u64>();
    match (&shared.pages, shared.repositories.find(&owner, &name).await, number) {
        (Some(pages), Some(entry), Ok(number)) => {
            Redirect::to(&format!("{pages}/{}/{number}", entry.id)).into_response()
        }
        _ => (StatusCode::NOT_FOUND, "Not found.\n").into_response(),
    }
}
