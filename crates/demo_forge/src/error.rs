//! Errors of the demo forge. HTTP refusals are in `rest::refusal`.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pages ask for no password, so the listener must be on a loopback address.
    #[error("serve {address}: the demo forge serves loopback addresses only")]
    NotLoopback {
        /// The bound address.
        address: SocketAddr,
    },
    /// `git` could not be started, or lacks `http-backend`.
    #[error("start {program}: is git installed?")]
    GitMissing {
        /// The program's name.
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("run git {command}: {reason}")]
    GitFailed {
        /// The subcommand, without its arguments.
        command: String,
        reason: String,
    },
    /// A git command timed out and was killed.
    #[error("run git {command} within {} s", limit.as_secs())]
    GitTimedOut {
        /// The subcommand, without its arguments.
        command: String,
        limit: Duration,
    },
    #[error("use {}", path.display())]
    Storage {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A damaged or foreign record.
    #[error("understand {}", path.display())]
    RecordUnreadable {
        /// The record's path.
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("use the name {name:?}: {reason}")]
    InvalidName {
        /// The invalid name.
        name: String,
        reason: &'static str,
    },
    #[error("create {full_name}: it exists already")]
    RepositoryExists {
        /// The repository.
        full_name: String,
    },
    #[error("serve {}: {reason}", path.display())]
    NotARepository {
        /// The folder.
        path: PathBuf,
        reason: &'static str,
    },
    #[error("find the user {login}")]
    UserMissing {
        /// The login.
        login: String,
    },
    /// Refused by the forge's rules.
    #[error("{what}: {reason}")]
    NotDone {
        /// The step, as a verb phrase.
        what: &'static str,
        reason: String,
    },
    #[error("find {full_name}")]
    RepositoryMissing { full_name: String },
}

impl Error {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::GitTimedOut { .. })
    }

    pub(crate) fn storage(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Storage { path, source }
    }
}
