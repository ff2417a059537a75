//! Extracts the header `Idempotency-Key`.

use crate::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use pullyard_domain::id::EventId;

/// An invalid key is refused and not ignored, because the caller relies on it.
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
