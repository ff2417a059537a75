//! The errors of the pages, as plain text.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::Error;

pub enum PageError {
    NotFound,
    CrossOrigin,
    Refused(String),
    TooLarge,
    Failed,
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        tracing::warn!(error = %error, "the demo forge has no page: failed to {error}");
        Self::Failed
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::CrossOrigin => {
                (StatusCode::FORBIDDEN, "This form did not come from a page of this forge; nothing was changed.\n")
            }
            Self::Refused(text) => return (StatusCode::UNPROCESSABLE_ENTITY, text).into_response(),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not found.\n"),
            Self::TooLarge => (StatusCode::NOT_ACCEPTABLE, "The change is too large to show.\n"),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "git failed.\n"),
        };
        (status, text).into_response()
    }
}
