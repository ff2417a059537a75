//! The model proxy: forwards an agent's requests to the provider with the real key, and counts what the answers cost.
//!
//! The agent has a placeholder instead of the key. Only the paths that the agents need are forwarded, because a key may
//! also have rights to files and batches. Source of the paths and headers: recorded requests of Claude Code 2.1.197 and
//! Codex 0.169.0.

mod usage;

pub use usage::Usage;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use usage::UsageReader;

/// A request with images of a whole session is below 32 MB, which is the providers' limit as well.
const MAX_REQUEST_BYTES: usize = 32 * 1024 * 1024;
/// Subagents send requests at the same time.
const MAX_REQUESTS: usize = 32;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence of an answer. Models that think send pings.
const READ_TIMEOUT: Duration = Duration::from_secs(600);
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const PROXY_AUTHORIZATION: HeaderName = HeaderName::from_static("proxy-authorization");

/// The API that the agent speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Anthropic,
    OpenAi,
}

impl Api {
    fn permits(self, method: &Method, path: &str) -> bool {
        let allowed: &[(Method, &str)] = match self {
            Self::Anthropic => &[(Method::POST, "/v1/messages"), (Method::POST, "/v1/messages/count_tokens")],
            Self::OpenAi => {
                &[(Method::POST, "/v1/responses"), (Method::POST, "/v1/responses/compact"), (Method::GET, "/v1/models")]
            }
        };
        allowed.iter().any(|(allowed, name)| allowed == method && *name == path)
    }
}

/// How the real key is sent.
#[derive(Clone)]
pub enum Key {
    /// In `x-api-key`.
    ApiKey(String),
    /// In `Authorization: Bearer`.
    Bearer(String),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A key never reaches a log.
        f.write_str("Key")
    }
}

/// Applies the limits of the attempt. The runner implements it.
pub trait Meter: Send + Sync {
    /// Called before each request. Errors: a sentence for the agent; the request is refused.
    fn check(&self) -> Result<(), String>;
    /// Called with the usage of a request each time it grows, in total for this request. `false` cuts the answer.
    fn record(&self, request: u64, usage: &Usage) -> bool;
}

/// A model proxy for one attempt.
pub struct ModelProxy {
    api: Api,
    /// Without a slash at its end.
    base_url: String,
    key: Key,
    meter: Arc<dyn Meter>,
    client: reqwest::Client,
    slots: Arc<Semaphore>,
    next_request: AtomicU64,
}

impl ModelProxy {
    /// `base_url` is the provider's or a gateway's address as the agent would get it: `https://api.anthropic.com`, which
    /// precedes `/v1`, or `https://api.openai.com/v1`, which includes it.
    ///
    /// Errors: the TLS configuration of this machine is unusable.
    pub fn new(api: Api, base_url: &str, key: Key, meter: Arc<dyn Meter>) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()?;
        let base_url = base_url.trim_end_matches('/').to_owned();
        let (slots, next_request) = (Arc::new(Semaphore::new(MAX_REQUESTS)), AtomicU64::new(0));
        Ok(Self { api, base_url, key, meter, client, slots, next_request })
    }

    /// Serves until it is dropped.
    ///
    /// Errors: the listener failed.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let router = Router::new().fallback(forward).with_state(Arc::new(self));
        axum::serve(listener, router).await
    }

    fn headers(&self, from_agent: &HeaderMap) -> Option<HeaderMap> {
        let mut headers = from_agent.clone();
        // What belongs to this connection, and the placeholder. Without the encodings, the answer can be counted.
        for name in [
            HOST,
            CONNECTION,
            CONTENT_LENGTH,
            TRANSFER_ENCODING,
            ACCEPT_ENCODING,
            AUTHORIZATION,
            API_KEY,
            COOKIE,
            PROXY_AUTHORIZATION,
        ] {
            headers.remove(name);
        }
        let (name, value) = match &self.key {
            Key::ApiKey(key) => (API_KEY, key.clone()),
            Key::Bearer(token) => (AUTHORIZATION, format!("Bearer {token}")),
        };
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Some(headers)
    }
}

async fn forward(State(proxy): State<Arc<ModelProxy>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if parts.method == Method::HEAD && path == "/" {
        // Claude Code asks whether the address answers.
        return StatusCode::OK.into_response();
    }
    if !proxy.api.permits(&parts.method, path) {
        return refuse(StatusCode::FORBIDDEN, "Pullyard forwards only the requests of a coding agent to its model.");
    }
    let Ok(slot) = Arc::clone(&proxy.slots).try_acquire_owned() else {
        return refuse(StatusCode::TOO_MANY_REQUESTS, "The agent has too many requests to its model at once.");
    };
    if let Err(sentence) = proxy.meter.check() {
        // Neither agent repeats a request after a 400.
        return refuse(StatusCode::BAD_REQUEST, &sentence);
    }
    let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "The request to the model is larger than 32 MB.");
    };
    let Some(headers) = proxy.headers(&parts.headers) else {
        return refuse(StatusCode::BAD_REQUEST, "The model's key has characters that no header can hold.");
    };
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = match proxy.api {
        Api::Anthropic => path,
        Api::OpenAi => path.strip_prefix("/v1").unwrap_or(path),
    };
    let url = format!("{}{path}{query}", proxy.base_url);
    let sent = proxy.client.request(parts.method, url).headers(headers).body(body.to_bytes()).send().await;
    match sent {
        Ok(answer) => hand_back(&proxy, answer, slot),
        Err(error) => {
            // The URL may contain a gateway's name only; the key is in no error.
            tracing::warn!(error = %error.without_url(), "the model's provider cannot be reached");
            refuse(StatusCode::BAD_GATEWAY, "The runner cannot reach the model's provider.")
        }
    }
}

fn hand_back(proxy: &Arc<ModelProxy>, answer: reqwest::Response, slot: OwnedSemaphorePermit) -> Response {
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let number = proxy.next_request.fetch_add(1, Ordering::Relaxed);
    let stream =
        CountedAnswer { number, answer, meter: Arc::clone(&proxy.meter), reader: UsageReader::default(), _slot: slot };
    let parts = futures::stream::try_unfold(stream, |mut stream| async move {
        Ok::<_, std::io::Error>(stream.next_part().await?.map(|part| (part, stream)))
    });
    (status, headers, Body::from_stream(parts)).into_response()
}

struct CountedAnswer {
    number: u64,
    answer: reqwest::Response,
    meter: Arc<dyn Meter>,
    reader: UsageReader,
    _slot: OwnedSemaphorePermit,
}

impl CountedAnswer {
    /// Errors: the provider broke off, or the answer exceeded the limit.
    async fn next_part(&mut self) -> std::io::Result<Option<Bytes>> {
        let part = self.answer.chunk().await.map_err(|error| std::io::Error::other(error.without_url()))?;
        let usage = part.as_ref().and_then(|part| self.reader.read(part));
        if usage.is_some_and(|usage| !self.meter.record(self.number, usage)) {
            return Err(std::io::Error::other("the limit is used up"));
        }
        Ok(part)
    }
}

/// An error in a shape that both agents read.
fn refuse(status: StatusCode, message: &str) -> Response {
    let error = serde_json::json!({"type": "invalid_request_error", "code": "insufficient_quota", "message": message});
    (status, axum::Json(serde_json::json!({"type": "error", "error": error}))).into_response()
}

#[cfg(test)]
mod tests;
