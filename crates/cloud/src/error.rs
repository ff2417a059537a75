//! How the services around the table can fail.

use pullyard_domain::text::causes;
use std::error::Error as StdError;

/// Why a service did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service could not be reached, or answered with an error of its own.
    #[error("{operation}: {reason}")]
    Unavailable {
        /// What was tried; reads after "failed to".
        operation: &'static str,
        /// What the SDK says, causes included.
        reason: String,
    },
    /// There is no secret of this name, or it is empty.
    #[error("read the secret {name}: it does not exist or is empty")]
    NoSecret {
        /// Its name.
        name: String,
    },
    /// Secrets Manager will not store a value under this name, however often it is asked.
    #[error("set the secret {name}: Secrets Manager refuses it, for example because it is marked for deletion")]
    SecretRefused {
        /// Its name.
        name: String,
    },
    /// This process was not told where a queue's dead letters are.
    #[error("look at the dead letters of {queue}: this deployment does not say where they are")]
    NoDeadLetters {
        /// Which queue.
        queue: &'static str,
    },
    /// No page of a list gave this cursor.
    #[error("go on with the list: no page gave this cursor")]
    BadCursor,
}

impl Error {
    /// Trying later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn unavailable(operation: &'static str, error: impl StdError) -> Self {
        Self::Unavailable { operation, reason: causes(&error) }
    }
}
