//! Routes of GitHub's REST API under `/api/v3`.

pub mod body;
pub mod caller;
mod conversation;
mod graphql;
pub mod hooks;
pub mod paging;
mod pull_requests;
pub mod refusal;
mod repositories;
mod reviews;
mod statuses;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, patch, post, put},
};

use crate::forge_state::Shared;
use refusal::ApiError;

pub fn routes(extension_routes: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    extension_routes
        .merge(repository_routes())
        .merge(pull_request_routes())
        .merge(hook_routes())
        .route("/graphql", post(graphql::handle))
        .fallback(async || ApiError::not_found())
        // GitHub returns 404 instead of "method not allowed".
        .method_not_allowed_fallback(async || ApiError::not_found())
}

pub fn graphql_route() -> Router<Arc<Shared>> {
    Router::new().route("/api/graphql", post(graphql::handle))
}

fn repository_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/user", get(repositories::own_account))
        .route("/repos/{owner}/{name}", get(repositories::repository))
        .route("/repos/{owner}/{name}/collaborators/{login}/permission", get(repositories::permission))
        .route("/repos/{owner}/{name}/branches", get(repositories::branches))
        .route("/repos/{owner}/{name}/git/ref/heads/{*branch}", get(repositories::branch))
        .route("/repos/{owner}/{name}/statuses/{sha}", post(statuses::create))
        .route("/repos/{owner}/{name}/commits/{sha}/statuses", get(statuses::list))
}

fn pull_request_routes() -> Router<Arc<Shared>> {
    let pulls = Router::new()
        .route("/", get(pull_requests::list).post(pull_requests::create))
        .route("/{number}", patch(pull_requests::update).get(pull_requests::show))
        .route("/{number}/merge", put(pull_requests::merge))
        .route("/{number}/reviews", get(reviews::list).post(reviews::create))
        .route("/{number}/reviews/{id}", get(reviews::show))
        .route("/{number}/reviews/{id}/comments", get(reviews::list_review_comments))
        .route("/{number}/comments", get(reviews::comments))
        .route("/{number}/requested_reviewers", post(conversation::request_reviewers));
    let issues = Router::new()
        .route("/", get(conversation::issues))
        .route("/comments/{id}", patch(conversation::edit_issue_comment))
        .route("/{number}/comments", get(conversation::list_issue_comments).post(conversation::create_issue_comment));
    Router::new().nest("/repos/{owner}/{name}/pulls", pulls).nest("/repos/{owner}/{name}/issues", issues)
}

fn hook_routes() -> Router<Arc<Shared>> {
    let hooks = Router::new()
        .route("/", get(hooks::list).post(hooks::create))
        .route("/{hook}", patch(hooks::change).delete(hooks::delete))
        .route("/{hook}/deliveries", get(hooks::deliveries));
    Router::new().nest("/repos/{owner}/{name}/hooks", hooks.clone()).nest("/orgs/{org}/hooks", hooks)
}
