//! Reads JSON bodies strictly.

use crate::Problem;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
pub use pullyard_protocol::json::{FieldError, parse};
use serde::de::DeserializeOwned;

pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// For batches of events. Units: bytes.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug)]
pub struct StrictJson<T, const MOST: usize = MAX_BODY_BYTES>(pub T);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    TooLarge(usize),
    Broken,
}

pub async fn read(body: Body, limit: usize) -> Result<Bytes, ReadError> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge(limit)),
        Err(_) => Err(ReadError::Broken),
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TooLarge(limit) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("The body is larger than {} KiB.", limit / 1024),
            )
            .with_help("Send a smaller body."),
            ReadError::Broken => Self::unreadable("", "it ended too early"),
        }
    }
}

impl From<FieldError> for Problem {
    fn from(fault: FieldError) -> Self {
        Self::unreadable(fault.pointer, &fault.message)
    }
}

impl<S: Send + Sync, T: DeserializeOwned, const MOST: usize> FromRequest<S> for StrictJson<T, MOST> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = read(request.into_body(), MOST).await?;
        Ok(Self(parse(&body)?))
    }
}
