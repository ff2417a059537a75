//! Serves dynoxide as DynamoDB on a loopback port.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use dynoxide::Database;

use crate::access::{Access, MAX_REQUEST_BYTES};
use crate::server::{self, Server, json_response, operation};
use crate::{Error, memory};

const DATABASE_FILE: &str = "dynamodb.sqlite";

const SWEEP_INTERVAL: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
pub(crate) struct DynamoDb {
    pub(crate) url: String,
    pub(crate) server: Server,
    pub(crate) router: Router,
    _sweeper: Server,
}

impl DynamoDb {
    pub(crate) async fn start(data: Option<&Path>, access: &Access, port: Option<u16>) -> Result<Self, Error> {
        let database = open(data)?;
        let (listener, address) = server::bind("DynamoDB", port).await?;
        let router = Router::new()
            .route("/", post(handle))
            .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
            .with_state(database.clone());
        let router = access.protect(router);
        Ok(Self {
            url: format!("http://{address}"),
            server: Server::serve_router(listener, router.clone()),
            router,
            _sweeper: Server::repeat(SWEEP_INTERVAL, move || sweep_expired(&database)),
        })
    }
}

async fn handle(State(database): State<Database>, headers: HeaderMap, body: Bytes) -> Response {
    let (status, json) = memory::call(&database, operation(&headers), &body);
    json_response(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), json)
}

/// Deletes items whose time to live is over, because a long-running system would grow without limit.
fn sweep_expired(database: &Database) {
    match database.sweep_ttl() {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "{count} expired items deleted"),
        Err(error) => tracing::warn!(%error, "deletion of expired items failed: {error}"),
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
