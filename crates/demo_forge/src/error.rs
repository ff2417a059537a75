//! Everything that can go wrong inside the demo forge, by cause.
//! What a caller over HTTP did wrong is not here: that is `rest::refusal`.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

/// Why the demo forge could not do what its host asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The listener is open to other machines, and the pages ask for no password.
    #[error("serve {address}: the demo forge serves loopback addresses only")]
    NotLoopback {
        /// Where the listener was bound.
        address: SocketAddr,
    },
    /// `git` could not be started, or has no `http-backend`.
    #[error("start {program}: is git installed?")]
    GitMissing {
        /// The program that could not be started.
        program: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A git command ended with an error.
    #[error("run git {command}: {reason}")]
    GitFailed {
        /// The subcommand, without its arguments.
        command: String,
        /// Git's own words.
        reason: String,
    },
    /// A git command did not end in time and was stopped.
    #[error("run git {command} within {} s", limit.as_secs())]
    GitTimedOut {
        /// The subcommand, without its arguments.
        command: String,
        /// How long it was given.
        limit: Duration,
    },
    /// A file or folder of the forge could not be read or written.
    #[error("use {}", path.display())]
    Storage {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The record beside a repository is not ours, or is damaged.
    #[error("understand {}", path.display())]
    RecordUnreadable {
        /// The record.
        path: PathBuf,
        /// Where it stops making sense.
        #[source]
        source: serde_json::Error,
    },
    /// A repository, branch or file name that the forge does not take.
    #[error("use the name {name:?}: {reason}")]
    InvalidName {
        /// The name as given.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A repository of this name is already there.
    #[error("create {full_name}: it exists already")]
    RepositoryExists {
        /// The repository.
        full_name: String,
    },
    /// A folder that can't be served as a repository.
    #[error("serve {}: {reason}", path.display())]
    NotARepository {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// There is nobody of this name.
    #[error("find the user {login}")]
    UserMissing {
        /// The name.
        login: String,
    },
    /// The forge won't.
    #[error("{what}: {reason}")]
    NotDone {
        /// What was to be done.
        what: &'static str,
        /// In the forge's words.
        reason: String,
    },
    /// There is no repository of this name.
    #[error("find {full_name}")]
    RepositoryMissing {
        /// The repository.
        full_name: String,
    },
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
