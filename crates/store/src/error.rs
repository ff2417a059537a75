//! How the table can fail. A refused condition is not a failure: see [`crate::Write`].

use pullyard_domain::text::causes;
use std::error::Error as StdError;

/// Why the table did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table could not be reached, or answered with an error of its own.
    #[error("{operation} in the table: {reason}")]
    Unavailable { operation: &'static str, reason: String, transient: bool },
    /// Other writers kept touching the same items at the same time; nothing was stored.
    #[error("{operation} in the table: other writers kept touching the same items")]
    Contended { operation: &'static str },
    /// A cursor that no page gave.
    #[error("read the next page: the cursor is none that a page gave")]
    BadCursor,
    /// A stored item is not what this version understands.
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

    /// Any failure of the SDK that is not a refused condition. The SDK has tried again by itself.
    pub(crate) fn unavailable(operation: &'static str, error: impl StdError + Send + Sync + 'static) -> Self {
        let reason = causes(&error);
        // A request that can never succeed is our bug; everything else passes.
        let transient = !reason.contains("ValidationException") && !reason.contains("AccessDenied");
        Self::Unavailable { operation, reason, transient }
    }
}
