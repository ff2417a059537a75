//! Why the local system did not start.

use std::path::PathBuf;

/// Why the local system did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The embedded AWS did not start.
    #[error("start the embedded AWS: {0}")]
    Aws(#[from] pullyard_emulator::Error),
    /// The demo forge did not start.
    #[error("start the demo forge: {0}")]
    Forge(#[from] pullyard_demo_forge::Error),
    /// The table could not be made.
    #[error(transparent)]
    Store(#[from] pullyard_store::Error),
    /// Queues or secrets could not be made.
    #[error(transparent)]
    Cloud(#[from] pullyard_cloud::Error),
    /// An address is taken or not allowed.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Which.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process uses the data folder.
    #[error("use the data folder {data}: another pullyard already does ({holder})")]
    InUse {
        /// Which.
        data: PathBuf,
        /// Who, as the lock says.
        holder: String,
    },
    /// The data folder can't be used.
    #[error("use the data folder {path}: {source}")]
    Data {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}
