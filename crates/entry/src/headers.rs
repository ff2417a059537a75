//! Extracts the headers `Idempotency-Key` and `If-Match`.

use crate::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use pullyard_domain::text::id::EventId;

/// `Idempotency-Key`. An invalid key is refused and not ignored, because the caller relies on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<EventId>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().ok().and_then(|key| EventId::new(key).ok());
        let bad = || Problem::bad_parameter("Idempotency-Key", "use 1 to 128 printable characters");
        key.map(|key| Self(Some(key))).ok_or_else(bad)
    }
}

/// `If-Match`, which prevents lost updates. A request without the header gets 428 and changes nothing.
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
