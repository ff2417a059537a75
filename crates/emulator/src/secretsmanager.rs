//! Secrets Manager on a loopback port, with a file for restarts.
//! A change is answered after it is on disk. A secret has its current and its previous value; deletion is immediate.

mod secret_file;

use std::ops::Bound::{Excluded, Unbounded};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use secret_file::{SecretFile, SecretVersion, Secrets, StoredSecret};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Access;
use crate::server::{self, Server, json_response, operation};
use crate::timestamp::{Timestamp, random_uuid};

const MAX_PAGE: usize = 100;

#[derive(Debug)]
pub(crate) struct SecretsManager {
    pub(crate) url: String,
    pub(crate) server: Server,
    pub(crate) router: Router,
}

impl SecretsManager {
    /// Serves the secrets stored in `folder`; without a folder, secrets are lost at exit.
    pub(crate) async fn start(folder: Option<&Path>, access: &Access, port: Option<u16>) -> Result<Self, Error> {
        let (listener, address) = server::bind("Secrets Manager", port).await?;
        let file = folder.map(SecretFile::new);
        let secrets = match &file {
            None => Secrets::new(),
            Some(file) => file.load().map_err(|source| Error::Folder { path: file.path.clone(), source })?,
        };
        let service = Arc::new(Service { secrets: Mutex::new(secrets), file });
        let router = Router::new().route("/", post(handle)).with_state(service);
        let router = access.protect(router);
        Ok(Self { url: format!("http://{address}"), server: Server::serve_router(listener, router.clone()), router })
    }
}

async fn handle(State(service): State<Arc<Service>>, headers: HeaderMap, body: Bytes) -> Response {
    match service.call(operation(&headers), &body) {
        Ok(answer) => json_response(StatusCode::OK, answer.to_string()),
        Err(Refusal(status, kind, message)) => {
            json_response(status, json!({ "__type": kind, "Message": message }).to_string())
        }
    }
}

/// Status, `__type` and message of an error response.
struct Refusal(StatusCode, &'static str, String);

fn refuse<T>(kind: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(StatusCode::BAD_REQUEST, kind, message.into()))
}

fn missing<T>() -> Result<T, Refusal> {
    refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    name: String,
    secret_id: String,
    secret_string: String,
    client_request_token: Option<String>,
    version_stage: Option<String>,
    force_delete_without_recovery: bool,
    filters: Vec<Filter>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// A filter by the name's prefix.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    values: Vec<String>,
}

struct Service {
    secrets: Mutex<Secrets>,
    file: Option<SecretFile>,
}

impl Service {
    fn call(&self, operation: &str, body: &[u8]) -> Result<Value, Refusal> {
        let request: Request = match serde_json::from_slice(body) {
            Ok(request) => request,
            // The parser's message may contain a value.
            Err(_) => return refuse("SerializationException", "The request cannot be parsed."),
        };
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        match operation {
            "GetSecretValue" => get_value(&secrets, &request),
            "DescribeSecret" => describe(&secrets, &request),
            "ListSecrets" => Ok(list(&secrets, &request)),
            "CreateSecret" | "PutSecretValue" | "DeleteSecret" => {
                let mut changed = secrets.clone();
                let answer = match operation {
                    "CreateSecret" => create(&mut changed, request),
                    "PutSecretValue" => put_value(&mut changed, request),
                    _ => delete(&mut changed, &request),
                }?;
                if let Some(Err(error)) = self.file.as_ref().map(|file| file.save(&changed)) {
                    tracing::error!(%error, "secret not stored");
                    let message = "The secret could not be stored.".to_owned();
                    return Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceError", message));
                }
                *secrets = changed;
                Ok(answer)
            }
            _ => refuse("UnknownOperationException", format!("Unknown operation {operation:?}")),
        }
    }
}

fn get_value(secrets: &Secrets, request: &Request) -> Result<Value, Refusal> {
    let Some(secret) = secrets.get(&request.secret_id) else { return missing() };
    let version = match request.version_stage.as_deref() {
        None | Some("AWSCURRENT") => Some(&secret.current),
        Some("AWSPREVIOUS") => secret.previous.as_ref(),
        Some(_) => None,
    };
    let Some(version) = version else { return missing() };
    let mut answer =
        json!({ "Name": request.secret_id, "VersionId": version.version_id, "SecretString": version.secret_string });
    if version.version_id == secret.current.version_id {
        answer["CreatedDate"] = json!(secret.last_changed_date);
    }
    Ok(answer)
}

fn describe(secrets: &Secrets, request: &Request) -> Result<Value, Refusal> {
    let Some(secret) = secrets.get(&request.secret_id) else { return missing() };
    let stages = json!({ secret.current.version_id.as_str(): ["AWSCURRENT"] });
    Ok(json!({ "Name": request.secret_id, "VersionIdsToStages": stages }))
}

/// Lists a page by name; the cursor is the last name of the page before.
fn list(secrets: &Secrets, request: &Request) -> Value {
    let after = request.next_token.as_ref().map_or(Unbounded, Excluded);
    let is_listed =
        |name: &str| request.filters.iter().all(|filter| filter.values.iter().any(|prefix| name.starts_with(prefix)));
    let mut remaining = secrets.range::<String, _>((after, Unbounded)).filter(|(name, _)| is_listed(name)).peekable();
    let size = request.max_results.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let page: Vec<_> = remaining
        .by_ref()
        .take(size)
        .map(|(name, secret)| json!({ "Name": name, "LastChangedDate": secret.last_changed_date }))
        .collect();
    let next = remaining.peek().and_then(|_| page.last()).map(|entry| entry["Name"].clone());
    json!({ "SecretList": page, "NextToken": next })
}

fn create(secrets: &mut Secrets, request: Request) -> Result<Value, Refusal> {
    if request.name.is_empty() {
        return refuse("InvalidParameterException", "The secret has no name.");
    }
    if secrets.contains_key(&request.name) {
        return refuse("ResourceExistsException", "The secret already exists.");
    }
    let current = new_version(request.client_request_token, request.secret_string);
    let answer = json!({ "Name": request.name, "VersionId": current.version_id });
    let last_changed_date = Timestamp::now().epoch_secs();
    secrets.insert(request.name, StoredSecret { current, previous: None, last_changed_date });
    Ok(answer)
}

/// Idempotent: by the token, which names the version.
fn put_value(secrets: &mut Secrets, request: Request) -> Result<Value, Refusal> {
    let Some(secret) = secrets.get_mut(&request.secret_id) else { return missing() };
    let version = new_version(request.client_request_token, request.secret_string);
    let answer = json!({ "Name": request.secret_id, "VersionId": version.version_id });
    let existing = match secret.current.version_id == version.version_id {
        true => Some(&secret.current),
        false => secret.previous.as_ref().filter(|previous| previous.version_id == version.version_id),
    };
    match existing {
        Some(existing) if *existing == version => {}
        Some(_) => return refuse("ResourceExistsException", "The version exists with another value."),
        None => {
            secret.previous = Some(std::mem::replace(&mut secret.current, version));
            secret.last_changed_date = Timestamp::now().epoch_secs();
        }
    }
    Ok(answer)
}

fn delete(secrets: &mut Secrets, request: &Request) -> Result<Value, Refusal> {
    match secrets.remove(&request.secret_id) {
        None if !request.force_delete_without_recovery => missing(),
        _ => Ok(json!({ "Name": request.secret_id })),
    }
}

fn new_version(token: Option<String>, secret_string: String) -> SecretVersion {
    SecretVersion { version_id: token.unwrap_or_else(random_uuid), secret_string }
}
