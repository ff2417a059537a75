//! Extracts the header `If-Match`, which prevents lost updates.

use crate::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

/// A request without the header gets 428 and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(pub u64);

impl<S: Send + Sync> FromRequestParts<S> for Revision {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let etag = parts.headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
        etag.and_then(|value| value.trim_matches('"').parse().ok()).map(Self).ok_or_else(|| {
            Problem::new(StatusCode::PRECONDITION_REQUIRED, "revision_missing", "The revision you saw is missing.")
                .with_help("Send `If-Match: \"REVISION\"` with the project's revision.")
        })
    }
}
