//! Scripted error answers of the providers: status, headers and body.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error response of a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Refusal {
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub fn anthropic(status: u16, kind: &str, message: &str) -> Self {
        let error = json!({ "type": kind, "message": message });
        Self::new(status, json!({ "type": "error", "error": error, "request_id": "req_scripted" }))
    }

    /// An error in OpenAI's format, with a null `code` if there is none.
    pub fn openai(status: u16, kind: &str, code: Option<&str>, message: &str) -> Self {
        Self::new(status, json!({ "error": { "message": message, "type": kind, "param": null, "code": code } }))
    }

    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn overloaded() -> Self {
        Self::anthropic(529, "overloaded_error", "Overloaded")
    }

    pub fn internal() -> Self {
        Self::anthropic(500, "api_error", "Internal server error")
    }

    pub fn too_many(retry_after_secs: u64) -> Self {
        let message = "This request would exceed your account's rate limit. Please try again later.";
        Self::anthropic(429, "rate_limit_error", message).with_header("retry-after", retry_after_secs.to_string())
    }

    pub fn wrong_key() -> Self {
        Self::anthropic(401, "authentication_error", "invalid x-api-key")
    }

    pub fn no_credit() -> Self {
        let message = "Your credit balance is too low to access the Anthropic API. \
                       Please go to Plans & Billing to upgrade or purchase credits.";
        Self::anthropic(400, "invalid_request_error", message)
    }

    pub fn prompt_too_long() -> Self {
        Self::anthropic(400, "invalid_request_error", "prompt is too long: 214000 tokens > 200000 maximum")
    }

    pub fn no_such_model(model: &str) -> Self {
        Self::anthropic(404, "not_found_error", &format!("model: {model}"))
    }

    pub fn openai_at_capacity() -> Self {
        let message = "The server is overloaded. Please try again later.";
        Self::openai(503, "server_error", Some("server_is_overloaded"), message)
    }

    pub fn openai_server_error(status: u16) -> Self {
        Self::openai(status, "server_error", None, "The server had an error while processing your request.")
    }

    pub fn openai_wrong_key() -> Self {
        let message = "Incorrect API key provided. You can find your API key at https://platform.openai.com.";
        Self::openai(401, "invalid_request_error", Some("invalid_api_key"), message)
    }

    pub fn openai_too_many(retry_after_secs: u64) -> Self {
        let message = "Rate limit reached for requests. Please try again later.";
        Self::openai(429, "requests", Some("rate_limit_exceeded"), message)
            .with_header("retry-after", retry_after_secs.to_string())
    }

    pub fn openai_quota() -> Self {
        let message = "You exceeded your current quota, please check your plan and billing details.";
        Self::openai(429, "insufficient_quota", Some("insufficient_quota"), message)
    }

    pub fn openai_no_such_model(model: &str) -> Self {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        Self::openai(404, "invalid_request_error", Some("model_not_found"), &message)
    }

    pub(crate) fn to_response(&self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut sent = HeaderMap::new();
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                sent.append(name, value);
            }
        }
        (status, sent, Json(&self.body)).into_response()
    }
}
