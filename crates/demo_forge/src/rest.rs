//! Routes of GitHub's REST API under `/api/v3`.

pub mod caller;
mod conversation;
pub mod fields;
mod graphql;
pub mod hooks;
pub mod original_uri;
pub mod paging;
mod pull_requests;
pub mod refusal;
mod repositories;
mod reviews;
mod statuses;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::Uri,
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{get, patch, post, put},
};

use crate::forge_state::Shared;
use original_uri::OriginalUri;
use refusal::ApiError;

pub fn routes(added: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    added
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
        .route("/users/{login}", get(repositories::account))
        .route(
            "/repos/{owner}/{name}",
            get(repositories::repository).patch(repositories::change).delete(repositories::delete),
        )
        .route("/repos/{owner}/{name}/transfer", post(repositories::transfer))
        .route("/repos/{owner}/{name}/collaborators/{login}/permission", get(repositories::permission))
        .route("/repos/{owner}/{name}/branches", get(repositories::branches))
        .route("/repos/{owner}/{name}/branches/{*branch}", get(repositories::branch))
        .route("/repos/{owner}/{name}/git/ref/heads/{*branch}", get(repositories::reference))
        .route("/repos/{owner}/{name}/git/refs/heads/{*branch}", axum::routing::delete(repositories::delete_branch))
        .route("/repos/{owner}/{name}/statuses/{sha}", post(statuses::create))
        .route("/repos/{owner}/{name}/commits/{sha}/status", get(statuses::get_combined_status))
        .route("/repos/{owner}/{name}/commits/{sha}/statuses", get(statuses::list))
}

fn pull_request_routes() -> Router<Arc<Shared>> {
    let pulls = Router::new()
        .route("/", get(pull_requests::list).post(pull_requests::create))
        .route("/comments/{id}", get(reviews::show_comment).patch(reviews::edit_comment))
        .route("/{number}", patch(pull_requests::update).get(pull_requests::show))
        .route("/{number}/merge", put(pull_requests::merge).get(pull_requests::is_merged))
        .route("/{number}/commits", get(pull_requests::commits))
        .route("/{number}/files", get(pull_requests::files))
        .route("/{number}/reviews", get(reviews::list).post(reviews::create))
        .route("/{number}/reviews/{id}", get(reviews::show).put(reviews::edit).delete(reviews::discard))
        .route("/{number}/reviews/{id}/events", post(reviews::submit))
        .route("/{number}/reviews/{id}/dismissals", put(reviews::dismiss))
        .route("/{number}/reviews/{id}/comments", get(reviews::list_review_comments))
        .route("/{number}/comments", get(reviews::comments).post(reviews::comment))
        .route("/{number}/comments/{id}/replies", post(reviews::reply))
        .route(
            "/{number}/requested_reviewers",
            get(conversation::list_reviewers)
                .post(conversation::request_reviewers)
                .delete(conversation::remove_reviewers),
        );
    let issues = Router::new()
        .route("/", get(conversation::issues))
        .route("/comments/{id}", get(conversation::get_issue_comment).patch(conversation::edit_issue_comment))
        .route("/{number}/comments", get(conversation::list_issue_comments).post(conversation::create_issue_comment))
        .route("/{number}/labels", get(conversation::labels).post(conversation::add_labels))
        .route("/{number}/labels/{label}", axum::routing::delete(conversation::remove_label));
    Router::new().nest("/repos/{owner}/{name}/pulls", pulls).nest("/repos/{owner}/{name}/issues", issues)
}

fn hook_routes() -> Router<Arc<Shared>> {
    let hooks = Router::new()
        .route("/", get(hooks::list).post(hooks::create))
        .route("/{hook}", get(hooks::show).patch(hooks::change).delete(hooks::delete))
        .route("/{hook}/pings", post(hooks::ping))
        .route("/{hook}/deliveries", get(hooks::deliveries))
        .route("/{hook}/deliveries/{delivery}", get(hooks::delivery))
        .route("/{hook}/deliveries/{delivery}/attempts", post(hooks::redeliver));
    Router::new().nest("/repos/{owner}/{name}/hooks", hooks.clone()).nest("/orgs/{org}/hooks", hooks)
}

/// Rewrites `/repositories/{id}/…`, the target of redirects, to the repository's current name.
pub async fn rewrite_repository_id(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    const START: &str = "/api/v3/repositories/";
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    if let Some(rest) = path.strip_prefix(START) {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (id, rest) = rest.split_at(end);
        let entry = match id.parse() {
            Ok(id) => shared.repositories.by_id(id).await,
            Err(_) => None,
        };
        let named = entry.and_then(|entry| format!("/api/v3/repos/{}{rest}", entry.full_name()).parse::<Uri>().ok());
        match named {
            Some(uri) => *request.uri_mut() = uri,
            None => return ApiError::not_found().into_response(),
        }
    }
    let original = OriginalUri(request.uri().clone());
    request.extensions_mut().insert(original);
    next.run(request).await
}
