//! Parses forms strictly.

use crate::fault::Fault;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::StatusCode;
use pullyard_domain::text::id::{EventId, InvalidId};
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// The API's longest description with every byte percent-encoded. Units: bytes.
pub(crate) const MAX_BODY_BYTES: usize = 768 * 1_024;

pub(crate) struct Form<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Fault;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Fault> {
        DefaultBodyLimit::max(MAX_BODY_BYTES).apply(&mut request);
        match axum::Form::<T>::from_request(request, state).await {
            Ok(axum::Form(value)) => Ok(Self(value)),
            Err(FormRejection::BytesRejection(_)) => {
                Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "That is more than one form may send.")
                    .help("Send a smaller body."))
            }
            Err(rejection) => Err(Fault::new(
                StatusCode::BAD_REQUEST,
                "bad_form",
                &format!("The form could not be read: {}.", rejection.body_text()),
            )
            .help("Open the page again and resend the form.")),
        }
    }
}

pub(crate) fn non_empty(field: &str) -> Option<String> {
    let field = field.trim();
    (!field.is_empty()).then(|| field.to_owned())
}

pub(crate) fn parse_id<T: FromStr<Err = InvalidId>>(field: &str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|bad: InvalidId| Fault::of_field(field, bad.0))
}

/// As [`parse_id`], for a field that may be empty.
pub(crate) fn parse_optional_id<T: FromStr<Err = InvalidId>>(field: &str, text: &str) -> Result<Option<T>, Fault> {
    non_empty(text).map(|text| parse_id(field, &text)).transpose()
}

pub(crate) fn request_key(form_key: &str) -> Option<EventId> {
    non_empty(form_key).and_then(|form_key| EventId::new(form_key).ok())
}

/// Key that makes every submission of one form the same request.
pub(crate) fn new_form_key() -> String {
    format!("page-{}", ulid::Ulid::generate().to_string().to_lowercase())
}
