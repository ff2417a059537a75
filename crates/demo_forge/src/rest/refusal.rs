//! Errors in GitHub's format.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Error, hooks, pulls::Objection, reviews, role::Role};

#[derive(Debug, Default, Serialize)]
pub struct Fault {
    resource: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Fault {
    pub fn of_field(field: &'static str, code: &'static str) -> Self {
        Self { resource: "PullRequest", field: Some(field), code, message: None }
    }

    pub fn of(resource: &'static str, field: &'static str, message: String) -> Self {
        Self { resource, field: Some(field), code: "custom", message: Some(message) }
    }

    pub fn custom(message: String) -> Self {
        Self { resource: "PullRequest", field: None, code: "custom", message: Some(message) }
    }

    pub fn about(field: &'static str, message: String) -> Self {
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
            Objection::StateStays(reason) => Self::about("state", reason),
            Objection::NoCommits { base, head } => Self::custom(format!("No commits between {base} and {head}")),
            Objection::NoCommonHistory { base, head } => {
                Self::custom(format!("The {head} branch has no history in common with {base}"))
            }
        }
    }
}

#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    message: String,
    errors: Vec<Value>,
    location: Option<String>,
}

impl Refusal {
    fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new(), location: None }
    }

    pub fn not_found() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "Not Found")
    }

    pub fn branch_not_found() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "Branch not found")
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

    pub fn validation_failed(faults: Vec<Fault>) -> Self {
        let errors = faults.iter().map(|fault| json!(fault)).collect();
        Self { errors, ..Self::plain(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed") }
    }

    /// For reviews and reviewers, GitHub returns sentences instead of objects.
    pub fn unprocessable(sentence: impl Into<String>) -> Self {
        let errors = vec![Value::String(sentence.into())];
        Self { errors, ..Self::plain(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity") }
    }

    pub fn unsupported(words: impl Into<String>) -> Self {
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, words)
    }

    pub fn unauthorized(words: String) -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, words)
    }

    pub fn forbidden(words: &str) -> Self {
        Self::plain(StatusCode::FORBIDDEN, words)
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

    pub fn no_such_label() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "Label does not exist")
    }

    pub fn not_allowed(words: &str) -> Self {
        Self::plain(StatusCode::METHOD_NOT_ALLOWED, words)
    }

    pub fn conflict(words: &str) -> Self {
        Self::plain(StatusCode::CONFLICT, words)
    }

    /// Redirects; 307 preserves methods other than GET.
    pub fn moved(url: String, is_get: bool) -> Self {
        let status = if is_get { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT };
        let words = if is_get { "Moved Permanently" } else { "Temporary Redirect" };
        Self { location: Some(url), ..Self::plain(status, words) }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::warn!(error = %error, "the demo forge could not answer: failed to {error}");
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, "Server Error")
    }
}

impl From<reviews::Objection> for Refusal {
    fn from(objection: reviews::Objection) -> Self {
        match objection {
            reviews::Objection::Unprocessable(sentence) => Self::unprocessable(sentence),
            reviews::Objection::Forbidden(words) => Self::forbidden(words),
            reviews::Objection::NotFound => Self::not_found(),
            reviews::Objection::Broken(error) => error.into(),
        }
    }
}

impl From<hooks::Objection> for Refusal {
    fn from(objection: hooks::Objection) -> Self {
        match objection {
            hooks::Objection::Invalid(field, message) => {
                Self::validation_failed(vec![Fault::of("Hook", field, message)])
            }
            hooks::Objection::Exists => {
                let message = "Hook already exists on this repository".to_owned();
                let fault = Fault { resource: "Hook", ..Fault::custom(message) };
                Self::validation_failed(vec![fault])
            }
            hooks::Objection::NotFound => Self::not_found(),
            hooks::Objection::Broken(error) => error.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status.as_str(),
        });
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        if let Some(url) = &self.location {
            body["url"] = json!(url);
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Some(location) = self.location.and_then(|url| HeaderValue::from_str(&url).ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}
