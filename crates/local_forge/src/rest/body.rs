//! Parses JSON bodies, and checks GitHub's length limits. Unknown fields are ignored, as on GitHub.

use axum::http::HeaderMap;
use serde::{Deserialize, de::DeserializeOwned};

use super::refusal::{ApiError, ErrorDetail};

const MAX_TITLE_CHARACTERS: usize = 256;
const MAX_BODY_CHARACTERS: usize = 65_536;

/// The body of a comment or a review.
#[derive(Deserialize)]
pub struct TextBody {
    pub body: String,
}

/// An empty body is an object without fields.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() { ApiError::invalid_request(&error.to_string()) } else { ApiError::unreadable_json() }
    })
}

/// An extension: GitHub creates another object for each request.
pub fn find_key(headers: &HeaderMap) -> Option<String> {
    headers.get("idempotency-key")?.to_str().ok().filter(|key| !key.is_empty()).map(str::to_owned)
}

pub fn check_lengths(title: Option<&str>, body: Option<&str>) -> Result<(), ApiError> {
    let mut faults = Vec::new();
    if let Some(title) = title {
        if title.trim().is_empty() {
            faults.push(ErrorDetail::of_field("title", "missing_field"));
        }
        if title.chars().count() > MAX_TITLE_CHARACTERS {
            let message = format!("title is too long (maximum is {MAX_TITLE_CHARACTERS} characters)");
            faults.push(ErrorDetail::custom_for_field("title", message));
        }
    }
    if body.is_some_and(|body| body.chars().count() > MAX_BODY_CHARACTERS) {
        let message = format!("body is too long (maximum is {MAX_BODY_CHARACTERS} characters)");
        faults.push(ErrorDetail::custom_for_field("body", message));
    }
    if faults.is_empty() { Ok(()) } else { Err(ApiError::validation_failed(faults)) }
}
