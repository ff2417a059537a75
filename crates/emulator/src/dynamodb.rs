//! Runs dynoxide as DynamoDB on a loopback port.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dynoxide::Database;

use crate::Error;
use crate::browser_guard;
use crate::server::{self, Server};

const DATABASE_FILE: &str = "dynamodb.sqlite";

const SWEEP_INTERVAL: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
pub(crate) struct DynamoDb {
    pub(crate) url: String,
    server: Server,
    proxy: Option<Server>,
}

impl DynamoDb {
    pub(crate) async fn start(data: Option<&Path>, port: Option<u16>) -> Result<Self, Error> {
        let database = open(data)?;
        // Sweep before serving requests; the next sweep follows an hour later.
        sweep_expired(&database).await;
        let (listener, address) = server::bind("DynamoDB", None).await?;
        let server = Server::spawn(|stop| async move {
            let forgetting = sweep_expired_loop(database.clone());
            let served = dynoxide::server::serve_with_shutdown(listener, database, stop.cancelled_owned());
            tokio::select! {
                served = served => if let Err(error) = served {
                    tracing::error!(%error, "embedded DynamoDB stopped unexpectedly");
                },
                never = forgetting => match never {},
            }
        });
        // dynoxide allows requests from every web page (CORS). Pages can guess a fixed port, so a `tap` refuses them.
        let (address, tap) = match port {
            None => (address, None),
            Some(port) => {
                let (public, tap) = browser_guard::start("DynamoDB", port, address).await?;
                (public, Some(tap))
            }
        };
        Ok(Self { url: format!("http://{address}"), server, proxy: tap })
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(tap) = &mut self.proxy {
            tap.stop().await;
        }
        self.server.stop().await;
    }
}

/// Deletes items whose time to live is over, because a long-running system would grow without limit.
async fn sweep_expired_loop(database: Database) -> Infallible {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        sweep_expired(&database).await;
    }
}

async fn sweep_expired(database: &Database) {
    let database = database.clone();
    match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
        Ok(Ok(0)) => {}
        Ok(Ok(count)) => tracing::info!(count, "{count} expired items deleted"),
        Ok(Err(error)) => tracing::warn!(%error, "deletion of expired items failed: {error}"),
        Err(error) => tracing::warn!(%error, "deletion of expired items was interrupted: {error}"),
    }
}

fn open(data: Option<&Path>) -> Result<Database, Error> {
    let Some(folder) = data else {
        return Database::memory().map_err(|error| database_error(None, error.to_string()));
    };
    std::fs::create_dir_all(folder).map_err(|source| Error::Folder { path: folder.to_owned(), source })?;
    let path = folder.join(DATABASE_FILE);
    match path.to_str() {
        Some(text) => Database::new(text).map_err(|error| database_error(Some(&path), error.to_string())),
        None => Err(database_error(Some(&path), "the path is not UTF-8".to_owned())),
    }
}

fn database_error(path: Option<&PathBuf>, reason: String) -> Error {
    Error::Database { path: path.cloned(), reason }
}
