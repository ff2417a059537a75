//! The errors that prevent the embedded AWS from starting.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("bind a loopback port for {service}")]
    Bind { service: &'static str, source: std::io::Error },
    #[error("use the folder {}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("open the DynamoDB database{}: {reason}", path.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default())]
    Database {
        /// The database file; `None` in memory.
        path: Option<PathBuf>,
        /// The library's message; its error type has no source.
        reason: String,
    },
}
