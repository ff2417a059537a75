//! The model proxy: forwards an agent's requests to the provider with the real key, and counts the cost of the answers.
//!
//! The agent has a placeholder instead of the key. Only the paths that the agents need are forwarded, because a key may
//! also have rights to files and batches. Source of the paths and headers: recorded requests of Claude Code 2.1.197 and
//! Codex 0.169.0.

mod content;
mod count;
mod meter;
mod request;
mod usage;

pub use meter::{Demand, Grant, Meter, RequestEnd};
pub use usage::Usage;

use crate::listen;
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use count::RequestCount;
use http_body_util::{BodyExt, Limited};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pullyard_domain::agent::Provider;
use pullyard_loopback::require_own_host;
use request::ModelRequest;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore};

/// The providers' limit. A request with all images of a session is smaller.
const MAX_REQUEST_BYTES: usize = 32 * 1024 * 1024;
/// Limit for the bodies of all concurrent requests. Each request reserves at least one page.
const MAX_MEMORY_BYTES: usize = 128 * 1024 * 1024;
const PAGE_BYTES: usize = 1024 * 1024;
const MAX_CONNECTIONS: usize = 64;
/// Time for the head of a request, including the pause after the previous request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence of an answer. Models that think send pings.
const READ_TIMEOUT: Duration = Duration::from_secs(600);
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const CHATGPT_ACCOUNT: HeaderName = HeaderName::from_static("chatgpt-account-id");
const OPENAI_ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const OPENAI_PROJECT: HeaderName = HeaderName::from_static("openai-project");
const PROXY_AUTHORIZATION: HeaderName = HeaderName::from_static("proxy-authorization");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Billing {
    ByTokens,
    Free,
}

/// `None` for a path that no agent needs.
fn find_billing(provider: Provider, method: &Method, path: &str) -> Option<Billing> {
    Some(match (provider, method, path) {
        (Provider::Anthropic, &Method::POST, "/v1/messages") => Billing::ByTokens,
        (Provider::Anthropic, &Method::POST, "/v1/messages/count_tokens") => Billing::Free,
        (Provider::OpenAi, &Method::POST, "/v1/responses" | "/v1/responses/compact") => Billing::ByTokens,
        (Provider::OpenAi, &Method::GET, "/v1/models") => Billing::Free,
        _ => return None,
    })
}

#[derive(Clone)]
pub enum Key {
    /// Sent in `x-api-key`.
    ApiKey(String),
    /// Sent in `Authorization: Bearer`.
    Bearer(String),
    /// Sent in `Authorization: Bearer`, with the account of a ChatGPT sign-in.
    ChatGpt { token: String, account: String },
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

pub struct Upstream {
    pub provider: Provider,
    /// In the form of the agent's own setting: `https://api.anthropic.com`, but `https://api.openai.com/v1`.
    pub base_url: String,
    pub key: Key,
}

pub struct ModelProxy {
    /// `base_url` has no trailing slash.
    upstream: Upstream,
    meter: Arc<dyn Meter>,
    client: reqwest::Client,
    pages: Arc<Semaphore>,
    head_timeout: Duration,
    next_request: AtomicU64,
    /// Held by the request that waits for a reservation; the others wait for the lock in their order.
    queue: Mutex<()>,
    reservation_ended: Arc<Notify>,
}

impl ModelProxy {
    /// `authorities`: PEM certificates, trusted in addition to those of the system.
    /// Errors: a certificate is invalid, or the TLS configuration of this machine is unusable.
    pub fn new(upstream: Upstream, authorities: &[u8], meter: Arc<dyn Meter>) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tls_certs_merge(reqwest::Certificate::from_pem_bundle(authorities)?)
            .build()?;
        let base_url = upstream.base_url.trim_end_matches('/').to_owned();
        let upstream = Upstream { base_url, ..upstream };
        let pages = Arc::new(Semaphore::new(MAX_MEMORY_BYTES / PAGE_BYTES));
        Ok(Self {
            upstream,
            meter,
            client,
            pages,
            head_timeout: HEAD_TIMEOUT,
            next_request: AtomicU64::new(0),
            queue: Mutex::default(),
            reservation_ended: Arc::default(),
        })
    }

    /// Serves connections until the future is dropped, which closes them.
    pub async fn serve(self, listener: TcpListener) {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.head_timeout);
        let router = Router::new().fallback(forward).with_state(Arc::new(self));
        let router = TowerToHyperService::new(require_own_host(router, &[], ""));
        let handle = move |stream| {
            let connection = http.serve_connection(TokioIo::new(stream), router.clone());
            async move {
                let _ = connection.await;
            }
        };
        listen::serve(listener, MAX_CONNECTIONS, handle).await;
    }

    /// Starts counting a request when the limits allow it. Returns its greatest output.
    /// Errors: a sentence for the agent.
    async fn reserve(&self, demand: &Demand) -> Result<(RequestCount, u64), String> {
        let number = self.next_request.fetch_add(1, Ordering::Relaxed);
        let _place = self.queue.lock().await;
        loop {
            match self.meter.reserve(number, demand) {
                Grant::Start { max_output } => {
                    let (meter, ended) = (Arc::clone(&self.meter), Arc::clone(&self.reservation_ended));
                    return Ok((RequestCount::new(number, demand.likely_input, meter, ended), max_output));
                }
                Grant::Wait => self.reservation_ended.notified().await,
                Grant::Refuse(sentence) => return Err(sentence),
            }
        }
    }

    fn provider_headers(&self, from_agent: &HeaderMap) -> Option<HeaderMap> {
        let mut headers = from_agent.clone();
        // Removes hop-by-hop headers, the placeholder, other accounts of the key, and encodings that prevent counting.
        for name in [
            HOST,
            EXPECT,
            TE,
            TRAILER,
            UPGRADE,
            OPENAI_ORGANIZATION,
            OPENAI_PROJECT,
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
        let (name, value) = match &self.upstream.key {
            Key::ApiKey(key) => (API_KEY, key.clone()),
            Key::Bearer(token) | Key::ChatGpt { token, .. } => (AUTHORIZATION, format!("Bearer {token}")),
        };
        if let Key::ChatGpt { account, .. } = &self.upstream.key {
            headers.insert(CHATGPT_ACCOUNT, HeaderValue::try_from(account).ok()?);
        }
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
        // Claude Code checks with this request that the URL responds.
        return StatusCode::OK.into_response();
    }
    let Some(billing) = find_billing(proxy.upstream.provider, &parts.method, path) else {
        return refuse(StatusCode::FORBIDDEN, "Pullyard forwards only the requests of a coding agent to its model.");
    };
    let size = usize::try_from(body.size_hint().upper().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let pages = size.min(MAX_REQUEST_BYTES).div_ceil(PAGE_BYTES).max(1);
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    let Ok(memory) = Arc::clone(&proxy.pages).try_acquire_many_owned(pages) else {
        return refuse(StatusCode::TOO_MANY_REQUESTS, "The agent has too many requests to its model at once.");
    };
    let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "The request to the model is larger than 32 MB.");
    };
    // Check the limit after the body: an agent whose request is not read completely may miss the answer.
    let body = body.to_bytes();
    let Some(headers) = proxy.provider_headers(&parts.headers) else {
        return refuse(StatusCode::BAD_REQUEST, "The model's key has characters that no header can hold.");
    };
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let provider_path = match proxy.upstream.provider {
        Provider::Anthropic => path,
        Provider::OpenAi => path.strip_prefix("/v1").unwrap_or(path),
    };
    let url = format!("{}{provider_path}{query}", proxy.upstream.base_url);
    let provider_request = proxy.client.request(parts.method.clone(), url).headers(headers);
    if parts.method != Method::POST {
        return send(provider_request.body(body), None, memory).await;
    }
    let mut request = match ModelRequest::parse(proxy.upstream.provider, &body) {
        Ok(request) => request,
        Err(sentence) => return refuse(StatusCode::BAD_REQUEST, &sentence),
    };
    let mut count = None;
    if billing == Billing::ByTokens {
        let demand = request.demand(&body);
        match proxy.reserve(&demand).await {
            Ok((granted, max_output)) => {
                count = Some(granted);
                if max_output < demand.max_output {
                    request.lower_output(&proxy.upstream.key, path, max_output);
                }
            }
            // Neither agent repeats a request after a 400.
            Err(sentence) => return refuse_with_code(StatusCode::BAD_REQUEST, "insufficient_quota", &sentence),
        }
    }
    send(provider_request.body(request.body()), count, memory).await
}

async fn send(
    request: reqwest::RequestBuilder,
    mut count: Option<RequestCount>,
    memory: OwnedSemaphorePermit,
) -> Response {
    match request.send().await {
        Ok(answer) => {
            if let Some(count) = count.as_mut().filter(|_| !answer.status().is_success()) {
                count.note_error_answer();
            }
            forward_answer(answer, count, memory)
        }
        Err(error) => {
            if let Some(count) = &mut count {
                count.note_unanswered(&error);
            }
            // The error may name the gateway; no error contains the key.
            tracing::warn!(error = %error.without_url(), "the model's provider cannot be reached");
            refuse(StatusCode::BAD_GATEWAY, "The runner cannot reach the model's provider.")
        }
    }
}

fn forward_answer(answer: reqwest::Response, count: Option<RequestCount>, memory: OwnedSemaphorePermit) -> Response {
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let parts = futures::stream::try_unfold((answer, count, memory), |(mut answer, mut count, memory)| async move {
        let part = answer.chunk().await;
        if let (Some(count), Ok(Some(part))) = (&mut count, &part) {
            count.read(part)?;
        }
        let part = part.map_err(|error| std::io::Error::other(error.without_url()))?;
        Ok::<_, std::io::Error>(part.map(|part| (part, (answer, count, memory))))
    });
    (status, headers, Body::from_stream(parts)).into_response()
}

fn refuse(status: StatusCode, message: &str) -> Response {
    refuse_with_code(status, "refused_by_pullyard", message)
}

/// An error in a shape that both agents read.
fn refuse_with_code(status: StatusCode, code: &str, message: &str) -> Response {
    let error = serde_json::json!({"type": "invalid_request_error", "code": code, "message": message});
    (status, axum::Json(serde_json::json!({"type": "error", "error": error}))).into_response()
}

#[cfg(test)]
mod tests;
