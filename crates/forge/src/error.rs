//! The crate's error type, by cause, and whether a call that failed may be retried.

use std::time::Duration;

/// `Display` is a verb phrase that follows "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The endpoint or the token is malformed.
    #[error("use the forge's settings: {reason}")]
    Settings { reason: String },
    /// No response: DNS failure, no connection, or a timeout.
    #[error("reach {host}: {reason}")]
    Unreachable { host: String, reason: String },
    /// The token is unknown or expired (401).
    #[error("sign in to {host}: {message}")]
    Denied { host: String, message: String },
    /// The token is valid but lacks the permission (403).
    #[error("get permission for {resource}: {message}")]
    Forbidden { resource: String, message: String },
    /// Missing, deleted, or hidden from the token (404, 410).
    #[error("find {resource}")]
    NotFound { resource: String, message: String },
    /// Too many calls (429, some 403, and 422 for new content).
    #[error("call {host}: rate limit reached, retry in {} s", retry_after.as_secs())]
    RateLimited { host: String, retry_after: Duration },
    /// The forge refuses the request (422; 400 and 409 of Bitbucket).
    #[error("get the request accepted: {reason}")]
    Refused {
        /// The forge's reason, phrased for a user: `no commits between main and x`.
        reason: String,
    },
    /// The forge may not see a branch yet that was just pushed. It refuses a branch that does not exist in the same way,
    /// so the caller decides how long it retries.
    #[error("get the request accepted: {reason}")]
    NotVisibleYet {
        /// As in `Refused`.
        reason: String,
    },
    /// The forge has no such call.
    #[error("do this at the forge: {operation}")]
    Unsupported { operation: String },
    /// No answer of the forge's API, of any status below 500: a web page of a proxy, or an empty, cut or foreign body. It
    /// decides nothing; a write may have succeeded.
    #[error("read the forge's response {status}: {reason}")]
    Unreadable { status: u16, reason: String },
    #[error("parse the forge's response {status}: {message}")]
    Unexpected { status: u16, message: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    Missing,
    Denied,
    RateLimited { retry_after: Duration },
    Unavailable,
    Refused,
    Unknown,
}

impl Error {
    /// The class for `control`: a later retry is useless for `Missing`, `Denied` and `Refused`.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::Missing,
            Self::Settings { .. } | Self::Denied { .. } | Self::Forbidden { .. } => ErrorKind::Denied,
            Self::RateLimited { retry_after, .. } => ErrorKind::RateLimited { retry_after: *retry_after },
            Self::Refused { .. } | Self::Unsupported { .. } => ErrorKind::Refused,
            Self::Unreachable { .. } | Self::Unreadable { .. } | Self::NotVisibleYet { .. } => ErrorKind::Unavailable,
            Self::Unexpected { status: 202 | 408 | 425 | 500..=599, .. } => ErrorKind::Unavailable,
            Self::Unexpected { .. } => ErrorKind::Unknown,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether the refusal is about drafts, and not about a branch of that name. Some repositories cannot have drafts,
    /// such as a private one of a free plan.
    pub fn refuses_draft(&self) -> bool {
        let Self::Refused { reason } = self else { return false };
        let reason = reason.to_lowercase();
        reason.contains("draft pull request") || reason.split("; ").any(|part| part.starts_with("draft "))
    }

    /// Whether a repeat may succeed soon. Before repeating a write, read its target: maybe only the response was lost.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::RateLimited { .. }
            | Self::Unreadable { .. }
            | Self::NotVisibleYet { .. } => true,
            // 202: GitHub is still computing the response. 408 and 425: the request came too late or too early.
            // 500: a retry usually succeeds. 501 and 505 are permanent.
            Self::Unexpected { status, .. } => matches!(status, 202 | 408 | 425 | 500 | 502 | 503 | 504),
            Self::Settings { .. }
            | Self::Denied { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}

/// Whether a call found its subject; its content does not matter.
pub(crate) fn is_found(answer: Result<serde::de::IgnoredAny, Error>) -> Result<bool, Error> {
    match answer {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draft_refusal_is_recognized_by_its_message() {
        let refused = |reason: &str| Error::Refused { reason: reason.to_owned() };
        for reason in [
            "Draft pull requests are not supported in this repository",
            "validation failed: no draft pull request can be opened here",
            "bad request; Draft is no field of this repository",
        ] {
            assert!(refused(reason).refuses_draft(), "{reason}");
        }
        for reason in [
            "no commits between main and draft",
            "validation failed; base: draft is no branch",
            "drafts of ours are locked",
            "",
        ] {
            assert!(!refused(reason).refuses_draft(), "{reason}");
        }
    }

    #[test]
    fn each_error_has_its_meaning_and_transience() {
        let (host, subject, message) = (|| "h".to_owned(), || "w".to_owned(), || "m".to_owned());
        let unexpected = |status| Error::Unexpected { status, message: message() };
        let retry_after = Duration::from_secs(9);
        for (error, kind, is_transient) in [
            (Error::Settings { reason: message() }, ErrorKind::Denied, false),
            (Error::Denied { host: host(), message: message() }, ErrorKind::Denied, false),
            (Error::Forbidden { resource: subject(), message: message() }, ErrorKind::Denied, false),
            (Error::NotFound { resource: subject(), message: message() }, ErrorKind::Missing, false),
            (Error::Refused { reason: message() }, ErrorKind::Refused, false),
            (Error::NotVisibleYet { reason: message() }, ErrorKind::Unavailable, true),
            (Error::Unreadable { status: 200, reason: message() }, ErrorKind::Unavailable, true),
            (Error::Unsupported { operation: subject() }, ErrorKind::Refused, false),
            (Error::Unreachable { host: host(), reason: message() }, ErrorKind::Unavailable, true),
            (Error::RateLimited { host: host(), retry_after }, ErrorKind::RateLimited { retry_after }, true),
            (unexpected(202), ErrorKind::Unavailable, true),
            (unexpected(408), ErrorKind::Unavailable, true),
            (unexpected(425), ErrorKind::Unavailable, true),
            (unexpected(500), ErrorKind::Unavailable, true),
            (unexpected(502), ErrorKind::Unavailable, true),
            (unexpected(503), ErrorKind::Unavailable, true),
            (unexpected(504), ErrorKind::Unavailable, true),
            (unexpected(501), ErrorKind::Unavailable, false),
            (unexpected(599), ErrorKind::Unavailable, false),
            (unexpected(200), ErrorKind::Unknown, false),
            (unexpected(409), ErrorKind::Unknown, false),
        ] {
            assert_eq!((error.kind(), error.is_transient()), (kind, is_transient), "{error:?}");
            assert_eq!(
                error.retry_after(),
                matches!(error, Error::RateLimited { .. }).then_some(retry_after),
                "{error:?}"
            );
        }
    }
}
