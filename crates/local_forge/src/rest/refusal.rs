//! Errors in GitHub's format.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Error, hooks, merge, pulls::Rejection, reviews, role::Role};

#[derive(Debug, Default, Serialize)]
pub struct ErrorDetail {
    resource: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl ErrorDetail {
    pub fn of_field(field: &'static str, code: &'static str) -> Self {
        Self { resource: "PullRequest", field: Some(field), code, message: None }
    }

    pub fn custom(message: String) -> Self {
        Self { resource: "PullRequest", field: None, code: "custom", message: Some(message) }
    }

    pub fn custom_for_field(field: &'static str, message: String) -> Self {
        Self { field: Some(field), ..Self::custom(message) }
    }
}

impl From<Rejection> for ErrorDetail {
    fn from(objection: Rejection) -> Self {
        match objection {
            Rejection::HeadUnknown => Self::of_field("head", "invalid"),
            Rejection::BaseUnknown => Self::of_field("base", "invalid"),
            Rejection::AlreadyOpen { owner, branch } => {
                Self::custom(format!("A pull request already exists for {owner}:{branch}."))
            }
            Rejection::CannotReopen(reason) => Self::custom_for_field("state", reason),
            Rejection::NoCommits { base, head } => Self::custom(format!("No commits between {base} and {head}")),
            Rejection::NoCommonHistory { base, head } => {
                Self::custom(format!("The {head} branch has no history in common with {base}"))
            }
        }
    }
}

#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    errors: Vec<Value>,
}

impl ApiError {
    fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new() }
    }

    pub fn not_found() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "Not Found")
    }

    pub fn not_a_user(login: &str) -> Self {
        Self::plain(StatusCode::NOT_FOUND, format!("{login} is not a user"))
    }

    pub fn requires_authentication() -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, "Requires authentication")
    }

    pub fn unreadable_json() -> Self {
        Self::plain(StatusCode::BAD_REQUEST, "Problems parsing JSON")
    }

    pub fn invalid_request(what: &str) -> Self {
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, format!("Invalid request.\n\n{what}"))
    }

    pub fn validation_failed(faults: Vec<ErrorDetail>) -> Self {
        let errors = faults.iter().map(|fault| json!(fault)).collect();
        Self { errors, ..Self::plain(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed") }
    }

    pub fn custom_for_resource(resource: &'static str, field: &'static str, message: impl Into<String>) -> Self {
        let detail = ErrorDetail { resource, field: Some(field), ..ErrorDetail::custom(message.into()) };
        Self::validation_failed(vec![detail])
    }

    /// For reviews and reviewers, GitHub returns sentences instead of objects.
    pub fn unprocessable(sentence: impl Into<String>) -> Self {
        let errors = vec![Value::String(sentence.into())];
        Self { errors, ..Self::plain(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity") }
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub fn unauthorized(message: String) -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, message)
    }

    pub fn not_mergeable(message: String) -> Self {
        Self::plain(StatusCode::METHOD_NOT_ALLOWED, message)
    }

    pub fn moved() -> Self {
        Self::plain(StatusCode::CONFLICT, merge::MOVED)
    }

    pub fn diff_too_large() -> Self {
        Self::plain(StatusCode::NOT_ACCEPTABLE, "The change is too large to show.")
    }

    pub fn commits_deleted() -> Self {
        Self::plain(StatusCode::NOT_ACCEPTABLE, "Its commits were deleted from the repository.")
    }

    pub fn forbidden(message: &str) -> Self {
        Self::plain(StatusCode::FORBIDDEN, message)
    }

    pub fn not_accessible() -> Self {
        Self::forbidden("Resource not accessible by integration")
    }

    pub fn role_too_low(role: Role) -> Self {
        match role {
            Role::Admin => Self::forbidden("Must have admin rights to Repository."),
            _ => Self::forbidden("Resource not accessible by personal access token"),
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        tracing::warn!(error = %error, "the local forge could not answer: failed to {error}");
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, "Server Error")
    }
}

impl From<reviews::Rejection> for ApiError {
    fn from(objection: reviews::Rejection) -> Self {
        match objection {
            reviews::Rejection::Unprocessable(sentence) => Self::unprocessable(sentence),
            reviews::Rejection::Forbidden(message) => Self::forbidden(message),
            reviews::Rejection::NotFound => Self::not_found(),
            reviews::Rejection::Internal(error) => error.into(),
        }
    }
}

impl From<hooks::Rejection> for ApiError {
    fn from(objection: hooks::Rejection) -> Self {
        match objection {
            hooks::Rejection::Invalid(field, message) => Self::custom_for_resource("Hook", field, message),
            hooks::Rejection::Exists => {
                let message = "Hook already exists on this repository".to_owned();
                let fault = ErrorDetail { resource: "Hook", ..ErrorDetail::custom(message) };
                Self::validation_failed(vec![fault])
            }
            hooks::Rejection::NotFound => Self::not_found(),
            hooks::Rejection::Internal(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status.as_str(),
        });
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        (self.status, Json(body)).into_response()
    }
}
