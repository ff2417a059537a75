//! Why the embedded AWS could not start.
//!
//! Answers of the services themselves are wire errors and live with each service.

use std::path::PathBuf;

/// A cause that keeps the embedded AWS from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No loopback port could be opened for a service.
    #[error("bind a loopback port for {service}")]
    Bind {
        /// The service that wanted the port.
        service: &'static str,
        source: std::io::Error,
    },
    /// A data folder could not be made or read.
    #[error("use the folder {}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    /// The DynamoDB database could not be opened.
    #[error("open the DynamoDB database{}: {reason}", path.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default())]
    Database {
        /// The database file; none when it lives in memory.
        path: Option<PathBuf>,
        /// The library's own words; its error type is not kept because it carries no source.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later without a change of configuration.
    ///
    /// Never: a missing port, folder or database needs a person.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        false
    }
}
