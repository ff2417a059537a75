//! The part of Bitbucket Cloud's REST API that pull requests and reviews need, under `/2.0`.
//! GitHub's API serves the same repositories. A hook receives events in the format of the API that created it.

mod activity;
mod answers;
mod body;
mod caller;
mod comment_bodies;
mod comments;
mod conversation;
mod deletions;
mod events;
mod hooks;
mod paging;
mod participants;
mod permissions;
mod pull_answers;
mod pull_request_filter;
mod pull_requests;
mod refusal;
mod replies;
mod repositories;
mod statuses;
mod threads;
mod uuid;
mod verdicts;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

pub(crate) use events::{publish, send_deleted, send_rename};
pub(crate) use hooks::delivery_headers;
use pullyard_local_forge::forge_state::Shared;
use refusal::Refusal;
pub(crate) use refusal::error;

pub(crate) const API_PATH: &str = "/2.0";

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().nest(API_PATH, api())
}

fn api() -> Router<Arc<Shared>> {
    let of_repository = Router::new()
        .route("/", get(repositories::repository))
        // A slash in a branch name may be `/` or `%2F`.
        .route("/refs/branches/{*branch}", get(repositories::branch))
        .route("/commit/{commit}", get(repositories::commit))
        .route("/commit/{commit}/statuses", get(statuses::list))
        .route("/commit/{commit}/statuses/build", post(statuses::create))
        .route("/pullrequests", get(pull_requests::list).post(pull_requests::create))
        .route("/pullrequests/{number}", get(pull_requests::show).put(pull_requests::update))
        .route("/pullrequests/{number}/merge", post(pull_requests::merge))
        .route("/pullrequests/{number}/decline", post(pull_requests::decline))
        .route("/pullrequests/{number}/activity", get(activity::list))
        .route("/pullrequests/{number}/approve", post(verdicts::approve).delete(verdicts::unapprove))
        .route(
            "/pullrequests/{number}/request-changes",
            post(verdicts::request_changes).delete(verdicts::withdraw_request),
        )
        .route("/pullrequests/{number}/comments", get(conversation::list).post(conversation::create))
        .route("/pullrequests/{number}/comments/{id}", put(conversation::edit).delete(threads::delete));
    let hooks = Router::new()
        .route("/", get(hooks::list).post(hooks::create))
        .route("/{uid}", get(hooks::show).put(hooks::update).delete(hooks::delete));
    Router::new()
        .nest("/repositories/{workspace}/{slug}/hooks", hooks.clone())
        .nest("/workspaces/{workspace}/hooks", hooks)
        .route("/user", get(repositories::own_account))
        .route("/workspaces/{workspace}/permissions/repositories/{slug}", get(permissions::list))
        .nest("/repositories/{workspace}/{slug}", of_repository)
        .fallback(async || Refusal::no_such_address())
        .method_not_allowed_fallback(async || Refusal::method_not_allowed())
}
