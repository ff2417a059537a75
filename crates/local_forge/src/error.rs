//! Errors of the local forge; `rest::refusal` has the errors of the REST API.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The listener must be on a loopback address, because the forge speaks plain HTTP.
    #[error("serve {address}: the local forge serves loopback addresses only")]
    NotLoopback { address: SocketAddr },
    #[error("start git: check that it is installed")]
    GitMissing { source: io::Error },
    #[error("run git {command}: {reason}")]
    GitFailed { command: String, reason: String },
    #[error("run git {command} within {} s", limit.as_secs())]
    GitTimedOut { command: String, limit: Duration },
    #[error("use {}", path.display())]
    Storage {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("parse {}", path.display())]
    RecordUnreadable {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("use the name {name:?}: {reason}")]
    InvalidName { name: String, reason: &'static str },
    #[error("create {full_name}: it already exists")]
    RepositoryExists { full_name: String },
    #[error("serve {}: {reason}", path.display())]
    InvalidRepository { path: PathBuf, reason: String },
    #[error("find the user {login}")]
    UserMissing { login: String },
    #[error("{what}: {reason}")]
    Refused { what: &'static str, reason: String },
    #[error("find {full_name}")]
    RepositoryMissing { full_name: String },
}

impl Error {
    pub(crate) fn storage(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Storage { path, source }
    }
}
