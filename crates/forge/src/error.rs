//! Why a call to a forge did not bring what was asked for, by what a person would do about it.

use std::time::Duration;

/// Why a forge did not do what we asked. Never contains a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The endpoint or the token can't be used at all.
    #[error("use the forge's settings: {reason}")]
    Settings {
        /// What is wrong with them.
        reason: String,
    },
    /// There was no answer: no name, no connection, no end.
    #[error("reach {host}: {reason}")]
    Unreachable {
        /// The forge.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// The token is not, or no longer, known (401).
    #[error("be let in by {host}: {message}")]
    Denied {
        /// The forge.
        host: String,
        /// The forge's own words.
        message: String,
    },
    /// The token is known and may not do this (403).
    #[error("get permission for {what}: {message}")]
    Forbidden {
        /// What the call was about.
        what: String,
        /// The forge's own words.
        message: String,
    },
    /// It is not there, not any more, or the token may not see it (404, 410).
    #[error("find {what}")]
    NotFound {
        /// What the call was about.
        what: String,
        /// The forge's own words.
        message: String,
    },
    /// Too many calls (429, and some 403).
    #[error("call {host} so often; it asks for {} s of rest", retry_after.as_secs())]
    RateLimited {
        /// The forge.
        host: String,
        /// How long to wait before the next call.
        retry_after: Duration,
    },
    /// The forge understood and won't (422; 400 and 409 of Bitbucket).
    #[error("get it accepted: {reason}")]
    Refused {
        /// Its reasons in readable words, such as `no commits between main and x`.
        reason: String,
    },
    /// It has no such thing, or none that we use: nothing was asked.
    #[error("do this on Bitbucket: {what}")]
    Unsupported {
        /// What was wanted, such as `list what was delivered`.
        what: String,
    },
    /// Anything else.
    #[error("understand the forge's answer {status}: {message}")]
    Unexpected {
        /// The HTTP status.
        status: u16,
        /// The forge's own words, or what is wrong with the answer.
        message: String,
    },
}

/// What an error means to who asked, whichever way it came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It is not there, not any more, or we may not see it.
    Missing,
    /// We may not: the token is wrong, too weak, or the settings are.
    Denied,
    /// Later, after this rest.
    RateLimited {
        /// How long.
        retry_after: Duration,
    },
    /// Later: the forge is away.
    Unavailable,
    /// It understood and won't; the same call gets the same answer.
    Refused,
    /// We don't understand its answer.
    Unknown,
}

impl Error {
    /// What it means to who asked.
    pub fn meaning(&self) -> Meaning {
        match self {
            Self::NotFound { .. } => Meaning::Missing,
            Self::Settings { .. } | Self::Denied { .. } | Self::Forbidden { .. } => Meaning::Denied,
            Self::RateLimited { retry_after, .. } => Meaning::RateLimited { retry_after: *retry_after },
            Self::Refused { .. } | Self::Unsupported { .. } => Meaning::Refused,
            Self::Unreachable { .. } => Meaning::Unavailable,
            Self::Unexpected { status: 202 | 500..=599, .. } => Meaning::Unavailable,
            Self::Unexpected { .. } => Meaning::Unknown,
        }
    }

    /// How long the forge wants to be left alone, if that is why.
    pub fn rest(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether the same call may succeed later when it is repeated unchanged. Whoever repeats what writes something new
    /// looks first whether it was done: an answer may be all that was lost.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::RateLimited { .. } => true,
            // 202: GitHub is still computing the answer. 500: of a call that broke there, the next is often whole.
            Self::Unexpected { status, .. } => matches!(status, 202 | 500 | 502 | 503 | 504),
            Self::Settings { .. }
            | Self::Denied { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_means_something_to_who_asked_and_only_some_pass() {
        let (host, what, message) = (|| "h".to_owned(), || "w".to_owned(), || "m".to_owned());
        let unexpected = |status| Error::Unexpected { status, message: message() };
        let rest = Duration::from_secs(9);
        for (error, meaning, passes) in [
            (Error::Settings { reason: message() }, Meaning::Denied, false),
            (Error::Denied { host: host(), message: message() }, Meaning::Denied, false),
            (Error::Forbidden { what: what(), message: message() }, Meaning::Denied, false),
            (Error::NotFound { what: what(), message: message() }, Meaning::Missing, false),
            (Error::Refused { reason: message() }, Meaning::Refused, false),
            (Error::Unsupported { what: what() }, Meaning::Refused, false),
            (Error::Unreachable { host: host(), reason: message() }, Meaning::Unavailable, true),
            (Error::RateLimited { host: host(), retry_after: rest }, Meaning::RateLimited { retry_after: rest }, true),
            (unexpected(202), Meaning::Unavailable, true),
            (unexpected(500), Meaning::Unavailable, true),
            (unexpected(502), Meaning::Unavailable, true),
            (unexpected(503), Meaning::Unavailable, true),
            (unexpected(504), Meaning::Unavailable, true),
            (unexpected(501), Meaning::Unavailable, false),
            (unexpected(599), Meaning::Unavailable, false),
            (unexpected(200), Meaning::Unknown, false),
            (unexpected(409), Meaning::Unknown, false),
        ] {
            assert_eq!((error.meaning(), error.is_transient()), (meaning, passes), "{error:?}");
            assert_eq!(error.rest(), matches!(error, Error::RateLimited { .. }).then_some(rest), "{error:?}");
        }
    }
}
