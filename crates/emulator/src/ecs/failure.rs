//! Error responses of the ECS API.

use serde::de::DeserializeOwned;

#[derive(Debug)]
pub(super) enum ApiError {
    Exception {
        kind: &'static str,
        message: String,
    },
    DropResponse,
    /// Reported as a failure of RunTask, with status 200.
    NoPlace,
}

impl ApiError {
    pub(super) fn exception(kind: &'static str, message: impl Into<String>) -> Self {
        Self::Exception { kind, message: message.into() }
    }

    pub(super) fn client(message: impl Into<String>) -> Self {
        Self::exception("ClientException", message)
    }

    pub(super) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::exception("InvalidParameterException", message)
    }
}

pub(super) fn parse_request<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::exception("SerializationException", error.to_string()))
}
