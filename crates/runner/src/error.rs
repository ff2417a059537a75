//! Errors of the runner itself. The failure of a job is a `Failure`.

use pullyard_protocol::client;
use std::path::PathBuf;

/// Why a run ended before the control plane knew the attempt's end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("find the bootstrap token: PULLYARD_BOOTSTRAP is not set")]
    BootstrapMissing,
    #[error("use {}", dir.display())]
    StateFolder { dir: PathBuf, source: std::io::Error },
    #[error("start as `{name}`: another process on this machine uses this name (folder {}); choose another --name", dir.display())]
    AlreadyRuns { name: String, dir: PathBuf },
    #[error("create the client of the control plane")]
    Client(#[source] client::Error),
    #[error("listen for signals")]
    Signals(#[source] std::io::Error),
    #[error("create an id")]
    Id(#[source] pullyard_domain::text::id::InvalidId),
    #[error("start the attempt")]
    Start(#[source] client::Error),
    #[error("send the finish: the control plane refused it")]
    FinishRefused(#[source] client::Error),
    /// The finish could not be delivered in time. It stays in the outbox for the next run.
    #[error("deliver the finish")]
    FinishUndelivered(#[source] client::Error),
}
