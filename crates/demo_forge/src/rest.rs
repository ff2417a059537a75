//! The part of GitHub's REST API that opening a pull request needs, under `/api/v3`.
//! Owns routes and authentication; what is refused and why is decided in `pulls`.

mod answers;
mod caller;
mod fields;
mod pull_requests;
mod refusal;
mod repositories;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, patch},
};

use crate::forge::Shared;
use refusal::Refusal;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/user", get(repositories::user))
        .route("/repos/{owner}/{name}", get(repositories::repository))
        .route("/repos/{owner}/{name}/branches/{*branch}", get(repositories::branch))
        .route("/repos/{owner}/{name}/pulls", get(pull_requests::list).post(pull_requests::create))
        .route("/repos/{owner}/{name}/pulls/{number}", patch(pull_requests::update).get(pull_requests::show))
        .fallback(async || Refusal::not_found())
        // GitHub does not say "method not allowed".
        .method_not_allowed_fallback(async || Refusal::not_found())
}
