//! Secrets Manager on a loopback port, in memory, by rustack.
//!
//! Owns the port and the HTTP edge. A restart loses every secret: who needs them puts them again.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use rustack_secretsmanager_core::config::SecretsManagerConfig;
use rustack_secretsmanager_core::handler::RustackSecretsManagerHandler;
use rustack_secretsmanager_core::provider::RustackSecretsManager;
use rustack_secretsmanager_http::dispatch::dispatch_operation;
use rustack_secretsmanager_http::response::error_to_response;
use rustack_secretsmanager_http::router::resolve_operation;

use crate::server::{self, Server};
use crate::{ACCOUNT, Error, REGION, moment};

/// A running Secrets Manager.
#[derive(Debug)]
pub(crate) struct SecretsManager {
    pub(crate) url: String,
    pub(crate) server: Server,
}

impl SecretsManager {
    /// Serves an empty Secrets Manager.
    pub(crate) async fn start() -> Result<Self, Error> {
        let (listener, address) = server::bind("Secrets Manager").await?;
        let provider = RustackSecretsManager::new(SecretsManagerConfig {
            skip_signature_validation: true,
            default_region: REGION.to_owned(),
            default_account_id: ACCOUNT.to_owned(),
        });
        let handler = Arc::new(RustackSecretsManagerHandler::new(Arc::new(provider)));
        let router = Router::new().route("/", post(answer)).with_state(handler);
        Ok(Self { url: format!("http://{address}"), server: Server::router(listener, router) })
    }
}

async fn answer(State(handler): State<Arc<RustackSecretsManagerHandler>>, headers: HeaderMap, body: Bytes) -> Response {
    let answered = match resolve_operation(&headers) {
        Ok(operation) => dispatch_operation(handler.as_ref(), operation, body).await,
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error| error_to_response(&error, &moment::random_uuid())).map(Body::new)
}
