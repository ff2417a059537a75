//! Defines the errors of the table.
//! A refused condition is not an error: see [`crate::Write`].

use pullyard_domain::text::format_error_chain;
use std::error::Error as StdError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{operation} in the table: {reason}")]
    Unavailable { operation: &'static str, reason: String, transient: bool },
    /// Other writers kept changing the same items, so the write was not stored.
    #[error("{operation} in the table: concurrent writers kept changing the same items")]
    Contended { operation: &'static str },
    #[error("read the next page: the cursor is invalid")]
    BadCursor,
    #[error("read the item {key}: {reason}")]
    Corrupt { key: String, reason: String },
}

impl Error {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { transient, .. } => *transient,
            Self::Contended { .. } => true,
            Self::BadCursor | Self::Corrupt { .. } => false,
        }
    }

    pub(crate) fn corrupt(key: impl ToString, reason: impl ToString) -> Self {
        Self::Corrupt { key: key.to_string(), reason: reason.to_string() }
    }

    /// Converts an SDK error that is not a refused condition. The SDK has already retried.
    pub(crate) fn unavailable(operation: &'static str, error: impl StdError + Send + Sync + 'static) -> Self {
        let reason = format_error_chain(&error);
        // A request that can never succeed is a bug; all other errors are transient.
        let transient = !reason.contains("ValidationException") && !reason.contains("AccessDenied");
        Self::Unavailable { operation, reason, transient }
    }
}
