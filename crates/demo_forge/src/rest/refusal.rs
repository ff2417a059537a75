//! Errors as GitHub writes them.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;

use crate::{Error, pulls::Objection};

/// One entry of `errors`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Fault {
    resource: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Fault {
    pub(crate) fn of_field(field: &'static str, code: &'static str) -> Self {
        Self { resource: "PullRequest", field: Some(field), code, message: None }
    }

    pub(crate) fn custom(message: String) -> Self {
        Self { resource: "PullRequest", field: None, code: "custom", message: Some(message) }
    }

    pub(crate) fn about(field: &'static str, message: String) -> Self {
        Self { field: Some(field), ..Self::custom(message) }
    }
}

impl From<Objection> for Fault {
    fn from(objection: Objection) -> Self {
        match objection {
            Objection::HeadUnknown => Self::of_field("head", "invalid"),
            Objection::BaseUnknown => Self::of_field("base", "invalid"),
            Objection::AlreadyOpen { owner, branch } => {
                Self::custom(format!("A pull request already exists for {owner}:{branch}."))
            }
            Objection::NoCommits { base, head } => Self::custom(format!("No commits between {base} and {head}")),
            Objection::NoCommonHistory { base, head } => {
                Self::custom(format!("The {head} branch has no history in common with {base}"))
            }
        }
    }
}

/// An answer that is not what the caller wanted.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
    faults: Vec<Fault>,
}

impl Refusal {
    fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), faults: Vec::new() }
    }

    pub(crate) fn not_found() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(crate) fn branch_not_found() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "Branch not found")
    }

    pub(crate) fn bad_credentials() -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, "Bad credentials")
    }

    pub(crate) fn requires_authentication() -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, "Requires authentication")
    }

    pub(crate) fn unreadable_json() -> Self {
        Self::plain(StatusCode::BAD_REQUEST, "Problems parsing JSON")
    }

    /// The body is JSON of the wrong shape.
    pub(crate) fn invalid_request(what: &str) -> Self {
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, format!("Invalid request.\n\n{what}"))
    }

    pub(crate) fn validation_failed(faults: Vec<Fault>) -> Self {
        let message = "Validation Failed".to_owned();
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, message, faults }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::warn!(error = %error, "the demo forge could not answer: failed to {error}");
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, "Server Error")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status.as_str(),
        });
        if !self.faults.is_empty() {
            body["errors"] = json!(self.faults);
        }
        (self.status, Json(body)).into_response()
    }
}
