//! Secrets Manager on a loopback port: rustack in memory, with a file for restarts.
//! A changing call is answered after the values of all secrets are on disk; a start restores them. The file has names,
//! current and previous values and times of change, but no older versions, tags or policies.

mod secret_file;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response as HttpResponse, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use rustack_secretsmanager_core::config::SecretsManagerConfig;
use rustack_secretsmanager_core::handler::RustackSecretsManagerHandler;
use rustack_secretsmanager_core::provider::RustackSecretsManager;
use rustack_secretsmanager_http::dispatch::dispatch_operation;
use rustack_secretsmanager_http::response::error_to_response;
use rustack_secretsmanager_http::router::resolve_operation;
use secret_file::{SecretFile, SecretVersion, Secrets, StoredSecret};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::server::{self, Server};
use crate::{ACCOUNT, Error, REGION, timestamp};

const WRITE_OPERATIONS: [&str; 5] = ["CreateSecret", "PutSecretValue", "UpdateSecret", "DeleteSecret", "RestoreSecret"];

/// Size limit of a response body read here, which is at most one page of the list. Units: bytes.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub(crate) struct SecretsManager {
    pub(crate) url: String,
    pub(crate) server: Server,
}

struct Service {
    handler: RustackSecretsManagerHandler,
    secrets: Mutex<Secrets>,
    disk: Option<SecretFile>,
}

impl SecretsManager {
    /// Serves the secrets stored in `folder`; without a folder, secrets are lost at exit.
    pub(crate) async fn start(folder: Option<&Path>, port: Option<u16>) -> Result<Self, Error> {
        let (listener, address) = server::bind("Secrets Manager", port).await?;
        let provider = RustackSecretsManager::new(SecretsManagerConfig {
            skip_signature_validation: true,
            default_region: REGION.to_owned(),
            default_account_id: ACCOUNT.to_owned(),
        });
        let handler = RustackSecretsManagerHandler::new(Arc::new(provider));
        let disk = folder.map(SecretFile::new);
        let secrets = match &disk {
            None => Secrets::new(),
            Some(disk) => disk.load().map_err(|source| Error::Folder { path: disk.path().to_owned(), source })?,
        };
        let edge = Arc::new(Service { handler, secrets: Mutex::new(Secrets::new()), disk });
        let path = edge.disk.as_ref().map(|disk| disk.path().to_owned()).unwrap_or_default();
        edge.restore(secrets).await.map_err(|source| Error::Folder { path, source })?;
        let router = Router::new().route("/", post(handle)).with_state(edge);
        Ok(Self { url: format!("http://{address}"), server: Server::serve_router(listener, router) })
    }
}

async fn handle(State(edge): State<Arc<Service>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    if operation == "ListSecrets" {
        return edge.list_secrets(&headers, body).await;
    }
    if !WRITE_OPERATIONS.contains(&operation) {
        return edge.dispatch(&headers, body).await;
    }
    let mut secrets = edge.secrets.lock().await;
    let changed = secret_id(&body);
    let answer = edge.dispatch(&headers, body).await;
    if !answer.status().is_success() {
        return answer;
    }
    match edge.save(&mut secrets, changed.as_deref()).await {
        Ok(()) => answer,
        Err(error) => {
            // The caller retries, and the next successful write includes this change.
            tracing::error!(error = %error, "secret not stored");
            let fault = json!({ "__type": "InternalServiceError", "message": "the secret could not be stored" });
            (StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()).into_response()
        }
    }
}

impl Service {
    async fn dispatch(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let answered = match resolve_operation(headers) {
            Ok(operation) => dispatch_operation(&self.handler, operation, body).await,
            Err(error) => Err(error),
        };
        answered.unwrap_or_else(|error| error_to_response(&error, &timestamp::random_uuid())).map(Body::new)
    }

    /// Calls an operation internally; returns `None` if it was refused.
    async fn call_internal(&self, operation: &str, body: Value) -> Option<Value> {
        let target = HeaderValue::from_str(&format!("secretsmanager.{operation}")).ok()?;
        let answer = self.dispatch(&HeaderMap::from_iter([(target_header(), target)]), body.to_string().into()).await;
        let body = answer.status().is_success().then_some(answer.into_body())?;
        serde_json::from_slice(&to_bytes(body, MAX_RESPONSE_BYTES).await.ok()?).ok()
    }

    async fn list_secrets(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let secrets = self.secrets.lock().await;
        let (head, body) = self.dispatch(headers, body).await.into_parts();
        let Ok(bytes) = to_bytes(body, MAX_RESPONSE_BYTES).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let Ok(mut page) = serde_json::from_slice::<Value>(&bytes) else {
            return HttpResponse::from_parts(head, Body::from(bytes));
        };
        for entry in page.get_mut("SecretList").and_then(Value::as_array_mut).into_iter().flatten() {
            let stored = entry.get("Name").and_then(Value::as_str).and_then(|name| secrets.get(name));
            if let Some(stored) = stored.filter(|stored| !stored.last_changed_date.is_null()) {
                entry["LastChangedDate"] = stored.last_changed_date.clone();
            }
        }
        let mut answer = (head.status, page.to_string()).into_response();
        let typed = head
            .headers
            .into_iter()
            .filter(|(name, _)| name.as_ref().is_some_and(|name| *name != axum::http::header::CONTENT_LENGTH));
        answer.headers_mut().extend(typed);
        answer
    }

    async fn restore(&self, secrets: Secrets) -> std::io::Result<()> {
        let mut stored = self.secrets.lock().await;
        for (name, secret) in &secrets {
            let token = || secret.version_id.clone().unwrap_or_else(timestamp::random_uuid);
            let mut create = json!({ "Name": name, "ClientRequestToken": token() });
            if let Some(before) = &secret.previous {
                let first = json!({
                    "Name": name, "ClientRequestToken": before.version_id, "SecretString": before.secret_string,
                });
                let set = self.call_internal("CreateSecret", first).await;
                set.ok_or_else(|| std::io::Error::other(format!("the secret {name} can't be set again")))?;
                create = json!({ "SecretId": name, "ClientRequestToken": token() });
            }
            if let Some(text) = &secret.secret_string {
                create["SecretString"] = json!(text);
            }
            // Fail instead of skipping the secret, because the next write would drop it from the file.
            let operation = if secret.previous.is_some() { "PutSecretValue" } else { "CreateSecret" };
            let set = self.call_internal(operation, create).await;
            set.ok_or_else(|| std::io::Error::other(format!("the secret {name} can't be set again")))?;
        }
        *stored = secrets;
        Ok(())
    }

    /// Only the changed secret gets rustack's time, because rustack dates all others with the start of this process.
    async fn save(&self, stored: &mut Secrets, changed: Option<&str>) -> std::io::Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let unread = || std::io::Error::other("the secrets can't be listed");
        let (mut now, mut next) = (Secrets::new(), Value::Null);
        loop {
            let mut list = json!({ "MaxResults": 100 });
            if !next.is_null() {
                list["NextToken"] = next;
            }
            let page = self.call_internal("ListSecrets", list).await.ok_or_else(unread)?;
            for entry in page.get("SecretList").and_then(Value::as_array).into_iter().flatten() {
                let Some(name) = entry.get("Name").and_then(Value::as_str) else { continue };
                // A secret may have no value yet.
                let value = self.call_internal("GetSecretValue", json!({ "SecretId": name })).await.unwrap_or_default();
                let word = |field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
                let before = json!({ "SecretId": name, "VersionStage": "AWSPREVIOUS" });
                // A refusal means that no previous version exists.
                let before = self.call_internal("GetSecretValue", before).await.unwrap_or_default();
                let word_before = |field: &str| before.get(field).and_then(Value::as_str).map(str::to_owned);
                let previous = word_before("VersionId")
                    .zip(word_before("SecretString"))
                    .map(|(version_id, secret_string)| SecretVersion { version_id, secret_string });
                let is_changed = [Some(name), entry.get("ARN").and_then(Value::as_str)].contains(&changed);
                let last_changed_date = match stored.get(name).filter(|_| !is_changed) {
                    Some(secret) => secret.last_changed_date.clone(),
                    None => entry.get("LastChangedDate").cloned().unwrap_or_default(),
                };
                now.insert(
                    name.to_owned(),
                    StoredSecret {
                        secret_string: word("SecretString"),
                        previous,
                        version_id: word("VersionId"),
                        last_changed_date,
                    },
                );
            }
            next = page.get("NextToken").cloned().unwrap_or_default();
            if next.is_null() {
                break;
            }
        }
        if now != *stored {
            disk.save(&now)?;
            *stored = now;
        }
        Ok(())
    }
}

fn secret_id(body: &[u8]) -> Option<String> {
    let body = serde_json::from_slice::<Value>(body).ok()?;
    ["Name", "SecretId"].iter().find_map(|field| body.get(field)?.as_str().map(str::to_owned))
}

fn target_header() -> axum::http::HeaderName {
    axum::http::HeaderName::from_static("x-amz-target")
}
