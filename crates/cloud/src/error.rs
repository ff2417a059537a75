//! Errors of the AWS services other than the table.

use pullyard_domain::text::format_error_chain;
use std::error::Error as StdError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{operation}: {reason}")]
    Unavailable { operation: &'static str, reason: String },
    #[error("read the secret {name}: it does not exist or is empty")]
    NoSecret { name: String },
    #[error("set the secret {name}: Secrets Manager refuses it; it may be marked for deletion")]
    SecretRefused { name: String },
}

impl Error {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn unavailable(operation: &'static str, error: impl StdError) -> Self {
        Self::Unavailable { operation, reason: format_error_chain(&error) }
    }
}
