//! DynamoDB on a loopback port, by dynoxide.
//!
//! Owns where the data lives and the port. Tables are made by whoever uses them, over the protocol.

use std::path::{Path, PathBuf};

use dynoxide::Database;

use crate::Error;
use crate::server::{self, Server};

/// The database file inside the data folder.
const FILE: &str = "dynamodb.sqlite";

/// A running DynamoDB.
#[derive(Debug)]
pub(crate) struct DynamoDb {
    pub(crate) url: String,
    pub(crate) server: Server,
}

impl DynamoDb {
    /// Serves from a folder, or from memory when there is none.
    pub(crate) async fn start(data: Option<&Path>) -> Result<Self, Error> {
        let database = open(data)?;
        let (listener, address) = server::bind("DynamoDB").await?;
        let server = Server::spawn(|stop| async move {
            let served = dynoxide::server::serve_with_shutdown(listener, database, stop.cancelled_owned());
            if let Err(error) = served.await {
                tracing::error!(%error, "the embedded DynamoDB ended by itself");
            }
        });
        Ok(Self { url: format!("http://{address}"), server })
    }
}

fn open(data: Option<&Path>) -> Result<Database, Error> {
    let Some(folder) = data else {
        return Database::memory().map_err(|error| failed(None, error.to_string()));
    };
    std::fs::create_dir_all(folder).map_err(|source| Error::Folder { path: folder.to_owned(), source })?;
    let path = folder.join(FILE);
    // The library takes its path as text.
    match path.to_str() {
        Some(text) => Database::new(text).map_err(|error| failed(Some(&path), error.to_string())),
        None => Err(failed(Some(&path), "the path is not UTF-8".to_owned())),
    }
}

fn failed(path: Option<&PathBuf>, reason: String) -> Error {
    Error::Database { path: path.cloned(), reason }
}
