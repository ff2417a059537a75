//! The part of Bitbucket Cloud's REST API that opening a pull request and speaking below it needs, under `/2.0`.
//!
//! Owns routes, callers and shapes; what there is and what is refused is decided where it is for GitHub's face, in
//! `pulls`, `notes` and `merging`. Every repository of a demo is on both faces at once: nobody who uses one of them
//! sees the other, and a demo needs no second kind of repository. Bitbucket's webhooks are not served; hooks that were
//! made on GitHub's face are told in GitHub's words of what happens here, too.

mod answers;
mod body;
mod caller;
mod comments;
mod conversation;
mod listed;
mod paging;
mod pull_answers;
mod pull_requests;
mod refusal;
mod repositories;
mod statuses;
mod uuid;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::forge::Shared;
use refusal::Refusal;
pub(crate) use refusal::error;

/// Where Bitbucket has its REST API.
pub(crate) const START: &str = "/2.0";

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let of_repository = Router::new()
        .route("/", get(repositories::repository))
        // A slash of a branch's name may stay one, or come as %2F.
        .route("/refs/branches/{*branch}", get(repositories::branch))
        .route("/commit/{commit}", get(repositories::commit))
        .route("/commit/{commit}/statuses", get(statuses::list))
        .route("/commit/{commit}/statuses/build", post(statuses::create))
        .route("/pullrequests", get(pull_requests::list).post(pull_requests::create))
        .route("/pullrequests/{number}", get(pull_requests::show).put(pull_requests::update))
        .route("/pullrequests/{number}/merge", post(pull_requests::merge))
        .route("/pullrequests/{number}/decline", post(pull_requests::decline))
        .route("/pullrequests/{number}/comments", get(conversation::list).post(conversation::create))
        .route("/pullrequests/{number}/comments/{id}", get(conversation::show).put(conversation::edit));
    Router::new()
        .route("/user", get(repositories::own_account))
        .nest("/repositories/{workspace}/{slug}", of_repository)
        .fallback(async || Refusal::no_such_address())
        .method_not_allowed_fallback(async || Refusal::method_not_allowed())
}
