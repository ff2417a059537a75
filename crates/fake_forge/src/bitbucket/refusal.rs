//! Errors as Bitbucket writes them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use pullyard_local_forge::access::{Level, Requirement};
use pullyard_local_forge::{Error, hooks, reviews};

pub(crate) fn error(message: &str) -> Value {
    json!({ "type": "error", "error": { "message": message } })
}

#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    body: Value,
}

impl Refusal {
    fn plain(status: StatusCode, message: &str) -> Self {
        Self { status, body: error(message) }
    }

    /// Missing or wrong token. Tokens of GitHub Apps are wrong here.
    pub(super) fn unauthorized() -> Self {
        let message = "Token is invalid, expired, or not supported for this endpoint.";
        Self::plain(StatusCode::UNAUTHORIZED, message)
    }

    pub(super) fn no_repository() -> Self {
        Self::not_found(
            "You may not have access to this repository or it no longer exists in this workspace. If you think this \
             repository exists and you have access, make sure you are authenticated.",
        )
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::plain(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn no_commit(name: &str) -> Self {
        Self::not_found(&format!("Commit \"{name}\" not found"))
    }

    pub(super) fn no_pull_request() -> Self {
        Self::not_found("No PullRequest matches the given query.")
    }

    pub(super) fn no_comment() -> Self {
        Self::not_found("No PullRequestComment matches the given query.")
    }

    pub(super) fn no_hook() -> Self {
        Self::not_found("No WebhookSubscription matches the given query.")
    }

    pub(super) fn no_workspace(name: &str) -> Self {
        Self::not_found(&format!("No workspace with identifier '{name}'."))
    }

    pub(super) fn no_such_address() -> Self {
        Self::not_found("There is no API hosted at this URL.")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::plain(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::plain(StatusCode::FORBIDDEN, message)
    }

    pub(super) fn conflict(message: &str) -> Self {
        Self::plain(StatusCode::CONFLICT, message)
    }

    /// The token lacks a scope. The forge's tokens have roles, so the refusal names the scope that matches the need.
    pub(super) fn missing_permission(need: Requirement) -> Self {
        let subject = match need.permission {
            "pull_requests" => "pullrequest",
            "repository_hooks" => "webhook",
            _ => "repository",
        };
        let level = match need.level {
            Level::Read => "read",
            Level::Write => "write",
            Level::Delete => "delete",
        };
        let mut refusal = Self::forbidden("Your credentials lack one or more required privilege scopes.");
        let granted = ["read:repository:bitbucket", "read:pullrequest:bitbucket"];
        refusal.body["error"]["detail"] =
            json!({ "required": [format!("{level}:{subject}:bitbucket")], "granted": granted });
        refusal
    }

    pub(super) fn not_for_access_tokens() -> Self {
        Self::forbidden("This API is not accessible by this authentication mechanism")
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, message)
    }

    /// A generic message; the detail has the reason.
    pub(super) fn with_detail(detail: &str) -> Self {
        let mut refusal = Self::bad_request("Bad request");
        refusal.body["error"]["detail"] = json!(detail);
        refusal
    }

    pub(super) fn field(name: &str, message: &str) -> Self {
        let mut refusal = Self::bad_request(&format!("{name}: {message}"));
        refusal.body["error"]["fields"] = json!({ name: [message] });
        refusal
    }

    pub(super) fn missing(name: &str) -> Self {
        let mut refusal = Self::bad_request("Bad request");
        refusal.body["error"]["fields"] = json!({ name: ["required key not provided"] });
        refusal
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::warn!(error = %error, "the local forge could not answer: failed to {error}");
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong")
    }
}

impl From<reviews::Rejection> for Refusal {
    fn from(objection: reviews::Rejection) -> Self {
        match objection {
            reviews::Rejection::Unprocessable(sentence) => Self::bad_request(&sentence),
            reviews::Rejection::Forbidden(_) => Self::forbidden("You do not have permission to edit this comment."),
            reviews::Rejection::NotFound => Self::no_comment(),
            reviews::Rejection::Internal(error) => error.into(),
        }
    }
}

impl From<hooks::Rejection> for Refusal {
    fn from(objection: hooks::Rejection) -> Self {
        match objection {
            hooks::Rejection::Invalid(field, message) => Self::field(field, &message),
            hooks::Rejection::Exists => Self::conflict("There is such a webhook already."),
            hooks::Rejection::NotFound => Self::no_hook(),
            hooks::Rejection::Internal(error) => error.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
