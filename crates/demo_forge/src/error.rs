//! Everything that can go wrong inside the demo forge, by cause.
//! What a caller over HTTP did wrong is not here: that is `rest::refusal`.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

/// Why the demo forge could not do what its host asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The listener is open to other machines, and the pages ask for no password.
    #[error("serve {address}: the demo forge serves loopback addresses only")]
    NotLoopback { address: SocketAddr },
    /// `git` could not be started, or has no `http-backend`.
    #[error("start {program}: is git installed?")]
    GitMissing {
        /// The program that could not be started.
        program: String,
        #[source]
        source: io::Error,
    },
    /// A git command ended with an error.
    #[error("run git {command}: {reason}")]
    GitFailed {
        /// The subcommand, without its arguments.
        command: String,
        reason: String,
    },
    /// A git command did not end in time and was stopped.
    #[error("run git {command} within {} s", limit.as_secs())]
    GitTimedOut {
        /// The subcommand, without its arguments.
        command: String,
        limit: Duration,
    },
    /// A file or folder of the forge could not be read or written.
    #[error("use {}", path.display())]
    Storage {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The record beside a repository is not ours, or is damaged.
    #[error("understand {}", path.display())]
    RecordUnreadable {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A repository, branch or file name that the forge does not take.
    #[error("use the name {name:?}: {reason}")]
    InvalidName { name: String, reason: &'static str },
    /// A repository of this name is already there.
    #[error("create {full_name}: it exists already")]
    RepositoryExists { full_name: String },
    /// A folder that can't be served as a repository.
    #[error("serve {}: {reason}", path.display())]
    NotARepository { path: PathBuf, reason: &'static str },
    #[error("find the user {login}")]
    UserMissing { login: String },
    #[error("{what}: {reason}")]
    NotDone { what: &'static str, reason: String },
    #[error("find {full_name}")]
    RepositoryMissing { full_name: String },
}

impl Error {
    /// Whether the same call may succeed when it is repeated unchanged.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::GitTimedOut { .. })
    }

    pub(crate) fn storage(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Storage { path, source }
    }
}
