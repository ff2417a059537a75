//! HTTP client for the runner, the command line and the tests.
//! Every call has a timeout. Idempotent calls are retried with jittered back-off after transient errors.

mod access;
mod artifact;
mod attempt;
mod breaker;
mod dead_letter;
mod fleet;
mod hold;
mod hook;
mod notification;
mod operator;
mod pull;
mod run;
mod runner;
mod sign_in;
mod ticket;
mod tracker;

pub use artifact::Download;
pub use attempt::AttemptClient;
pub use operator::ApiClient;
pub use runner::RunnerClient;

use crate::{NoFields, Problem};
use pullyard_domain::text::percent_encode;
use pullyard_domain::text::trace::{self, TraceId};
use rand::RngExt;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::time::Duration;

/// Limit for a whole call, including the body.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Shorter than the keep-alive of `pullyard up` (75 s), which otherwise closes a connection while a request is sent.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const TRIES: u32 = 4;

/// Error of a call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No response in time.
    #[error("reach {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// Problem document from the server.
    #[error("{} ({})", .0.detail, .0.code)]
    Problem(Box<Problem>),
    /// The response does not match this version.
    #[error("understand the answer of {url}: {reason}")]
    Unreadable { url: String, reason: String },
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 500 | 502 | 503 | 504),
            Self::Unreadable { .. } => false,
        }
    }

    /// Whether the revision in `If-Match` is outdated.
    pub fn is_precondition_failed(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 412)
    }

    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.code),
            _ => None,
        }
    }
}

/// Whether a call may be repeated when its response was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetryPolicy {
    Idempotent,
    Never,
}

#[derive(Clone)]
struct Http {
    base: String,
    bearer: String,
    client: reqwest::Client,
    call_timeout: Duration,
    trace: Option<TraceId>,
}

impl Http {
    fn new(base: &str, bearer: &str) -> Result<Self, Error> {
        let base = base.trim_end_matches('/').to_owned();
        let client = client_builder(&base, CALL_TIMEOUT)
            .user_agent(concat!("pullyard/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Unreachable { url: base.clone(), reason: error.to_string() })?;
        Ok(Self { base, bearer: bearer.to_owned(), client, call_timeout: CALL_TIMEOUT, trace: None })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.bearer)
            .timeout(self.call_timeout)
            .header(crate::version::HEADER, crate::version::PROTOCOL);
        match &self.trace {
            Some(trace) => request.header(trace::HEADER, trace.to_header()),
            None => request,
        }
    }

    async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, Error> {
        self.send(self.request(Method::GET, path), RetryPolicy::Idempotent).await
    }

    async fn get_page<A: DeserializeOwned>(&self, path: &str, after: Option<impl Display>) -> Result<A, Error> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let after = after.map(|after| format!("{joint}after={}", percent_encode(&after.to_string())));
        let after = after.unwrap_or_default();
        self.get(&format!("{path}{after}")).await
    }

    async fn delete<A: DeserializeOwned>(&self, path: &str) -> Result<A, Error> {
        self.send(self.request(Method::DELETE, path), RetryPolicy::Never).await
    }

    /// Sends a request that must not be repeated.
    async fn post_once<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A, Error> {
        self.send(self.request(Method::POST, path).json(body), RetryPolicy::Never).await
    }

    /// With a key, a repeated request is the same request. Without one, it is not repeated.
    async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        key: Option<&str>,
    ) -> Result<A, Error> {
        self.send_keyed(self.request(Method::POST, path).json(body), key).await
    }

    /// Sends a request that may be repeated.
    async fn put<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A, Error> {
        self.send(self.request(Method::PUT, path).json(body), RetryPolicy::Idempotent).await
    }

    /// Sends a request that may be repeated.
    async fn post_idempotent<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A, Error> {
        self.send(self.request(Method::POST, path).json(body), RetryPolicy::Idempotent).await
    }

    /// The key makes a repeated request the same request.
    async fn send_keyed<A: DeserializeOwned>(&self, request: RequestBuilder, key: Option<&str>) -> Result<A, Error> {
        match key {
            Some(key) => self.send(request.header("idempotency-key", key), RetryPolicy::Idempotent).await,
            None => self.send(request, RetryPolicy::Never).await,
        }
    }

    async fn send<A: DeserializeOwned>(&self, request: RequestBuilder, policy: RetryPolicy) -> Result<A, Error> {
        let tries = if policy == RetryPolicy::Idempotent { TRIES } else { 1 };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Some(copy) = request.try_clone() else {
                return Err(Error::Unreachable {
                    url: self.base.clone(),
                    reason: "the request can't be sent twice".into(),
                });
            };
            match send_once(copy, &self.base).await {
                Err(error) if error.is_transient() && attempt < tries => {
                    let max_ms = 200 * (1 << attempt);
                    let pause = rand::rng().random_range(max_ms / 2..=max_ms);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                answer => return answer,
            }
        }
    }
}

fn client_builder(address: &str, limit: Duration) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .timeout(limit)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    match is_loopback(address) {
        // Plain HTTP needs no certificates, and loading them all would take longer than the call.
        true if address.starts_with("http://") => builder.no_proxy().tls_certs_only([]),
        true => builder.no_proxy(),
        false => builder,
    }
}

async fn send_once<A: DeserializeOwned>(request: RequestBuilder, base: &str) -> Result<A, Error> {
    let unreachable = |error: reqwest::Error| Error::Unreachable { url: base.to_owned(), reason: root_cause(&error) };
    let answer = request.send().await.map_err(unreachable)?;
    let (status, url) = (answer.status(), answer.url().to_string());
    let body = answer.bytes().await.map_err(unreachable)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| Error::Unreadable { url, reason: error.to_string() });
    }
    Err(Error::Problem(Box::new(serde_json::from_slice(&body).unwrap_or_else(|_| gateway_problem(base, status)))))
}

fn is_loopback(base: &str) -> bool {
    let host = base.split_once("://").map_or(base, |(_, rest)| rest);
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|name| host.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}

/// Converts an error response of a gateway or proxy, which has no problem document.
fn gateway_problem(base: &str, status: StatusCode) -> Problem {
    let detail = match status.is_server_error() {
        true => format!("the server at {base} returned {status}; Pullyard or a proxy in front of it failed."),
        false => format!("the server at {base} returned {status} and does not look like a Pullyard server."),
    };
    Problem {
        kind: "about:blank".into(),
        title: status.canonical_reason().unwrap_or("Unknown").into(),
        status: status.as_u16(),
        code: "gateway".into(),
        detail,
        help: None,
        pointer: None,
        faults: Vec::new(),
        recorded: None,
    }
}

/// The innermost cause: "connection refused" is more useful than "error sending request".
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
