//! The API of ChatGPT's host for a Codex with a subscription: accounts, models and settings.
//! Codex calls no model until it has the account.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::handler::{Shared, openai};
use crate::log::{Outcome, Request};

const ORIGIN: &str = "https://chatgpt.com";

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/backend-api/codex/responses", post(openai).get(no_web_socket))
        .route("/backend-api/codex/models", get(models))
        .route("/backend-api/wham/accounts/check", get(accounts))
        .route("/backend-api/wham/settings/user", get(settings))
}

async fn no_web_socket(shared: State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    respond_without_step(shared, method, uri, headers, StatusCode::UPGRADE_REQUIRED, json!({}))
}

async fn models(shared: State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    respond_without_step(shared, method, uri, headers, StatusCode::OK, json!({ "models": [] }))
}

async fn accounts(shared: State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let account = headers.get("chatgpt-account-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let body = json!({
        "accounts": [{
            "id": account,
            "structure": "personal",
            "workspace_backend_origin": ORIGIN,
            "account_routing_override": "NO_CONSTRAINT",
        }],
        "account_ordering": [account],
        "default_account_id": account,
    });
    respond_without_step(shared, method, uri, headers, StatusCode::OK, body)
}

async fn settings(shared: State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    respond_without_step(shared, method, uri, headers, StatusCode::OK, json!({}))
}

fn respond_without_step(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    status: StatusCode,
    body: Value,
) -> Response {
    shared.log.add(Request::new(&method, &uri, &headers, &Bytes::new(), Outcome::NoStep));
    (status, Json(body)).into_response()
}
