//! The reasons why an earlier session is not resumed.

use crate::attempt::Attempt;
use crate::stop::Stop;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::truncate;
use std::io;

const LONGEST_REASON: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionLoss {
    #[error("{0}")]
    NotStored(String),
    /// The checkpoint may be in the bucket, so a retry may resume it.
    #[error("it could not be fetched: {0}")]
    Unreachable(String),
    #[error("it can't be read: {0}")]
    Unreadable(String),
    #[error("`{0}` worked on it")]
    OtherAgent(String),
    #[error("its work does not fit: {0}")]
    DoesNotFit(String),
}

impl SessionLoss {
    pub(super) fn reason(&self) -> String {
        truncate(&self.to_string(), LONGEST_REASON)
    }

    pub(super) fn to_failure(&self) -> Failure {
        match self {
            Self::Unreachable(reason) => Failure::SessionUnreachable { reason: reason.clone() },
            _ => Failure::SessionLost {},
        }
    }

    pub(super) fn fail_job(&self, attempt: &Attempt<'_>, owner: &str) -> Stop {
        let reason = self.reason();
        let message = format!(
            "The earlier session{owner} cannot be resumed, because {reason}; the job requires it \
             (`resume: require`)."
        );
        attempt.events.log(message);
        self.to_failure().into()
    }
}

/// A file error is this machine's fault, unless the fetched content caused the error, such as a duplicate name.
impl From<io::Error> for SessionLoss {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory, NotFound};
        let is_content_error = matches!(error.kind(), AlreadyExists | IsADirectory | NotADirectory | NotFound);
        // A decoder's error has no code of the operating system.
        let is_local = error.raw_os_error().is_some() && !is_content_error;
        if is_local { Self::Unreachable(error.to_string()) } else { Self::Unreadable(error.to_string()) }
    }
}
