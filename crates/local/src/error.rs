//! Errors at the start of the local system.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("start the embedded AWS: {0}")]
    Aws(#[from] pullyard_emulator::Error),
    #[error(transparent)]
    Queue(#[from] pullyard_emulator::sqs::CallError),
    #[error("start the local forge: {0}")]
    Forge(#[from] pullyard_local_forge::Error),
    #[error(transparent)]
    Store(#[from] pullyard_store::Error),
    #[error(transparent)]
    Cloud(#[from] pullyard_cloud::Error),
    #[error("listen on {address}: {source}")]
    Listen { address: String, source: std::io::Error },
    #[error("use the data folder {data}: another pullyard uses it ({holder})")]
    InUse { data: PathBuf, holder: String },
    #[error("use the data folder {path}: {source}")]
    Data { path: PathBuf, source: std::io::Error },
}
