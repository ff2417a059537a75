//! Emulates an API Gateway HTTP API: routes each request to a function as a Lambda event.
//! Stages, authorisers, CORS and TLS are not emulated. Unlike on AWS, functions share one machine: a limited number
//! runs at once, a limited number of requests waits, and further ones are refused with `Retry-After`.

mod queue;
mod request;
mod response;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, Request, State};
pub use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use pullyard_loopback::require_own_host;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Function;
use super::invoke::Invoker;
use crate::server::Server;
use queue::Queue;

const OTHER_HOST_HELP: &str = "Behind a TLS proxy, start it with `pullyard up --public-url https://NAME`.";

/// Body limit of an HTTP API.
/// Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
/// Lambda's limits for the event of a call and for its answer, as JSON: documented as 6 MB, and these numbers in its errors.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const MAX_EVENT_BYTES: usize = 6_291_456;
const MAX_ANSWER_BYTES: usize = 6_291_556;
/// Time limit of an HTTP API for its function.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than the period of each Pullyard client.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_RUNNING: usize = 64;
const MAX_WAITING: usize = 512;
/// A call opens about ten descriptors: connections to the embedded services, of which both ends count.
const DESCRIPTORS_PER_FUNCTION: usize = 16;
const RETRY_AFTER_SECS: &str = "2";

#[derive(Clone)]
pub struct Route {
    pub method: Option<Method>,
    /// Path prefix in complete segments: `/api` matches `/api` and `/api/x` but not `/apix`.
    pub prefix: String,
    /// Matches only `prefix` itself, like a route without `{proxy+}`.
    pub exact: bool,
    pub function: Function,
    /// Whether the function only waits, as an integration without a function does: it is not limited, and it ends with
    /// its caller's connection.
    pub waits: bool,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Route").field("method", &self.method).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// A running HTTP API; dropping it stops it after the open requests.
#[derive(Debug)]
pub struct Gateway {
    inner: Arc<Inner>,
    server: Server,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Accepted in `Host`, in addition to the names of the loopback addresses; without a port.
    pub further_hosts: Vec<String>,
    /// For a function's answer, with the wait for its start.
    pub timeout: Duration,
    pub max_running: usize,
    pub max_waiting: usize,
    /// Further connections wait in the listener's queue.
    pub max_connections: usize,
    /// For the head of a request, and for an idle connection.
    pub head_timeout: Duration,
    /// For the body of a request, after its head.
    pub body_timeout: Duration,
}

impl Options {
    /// Keeps functions and connections within a limit of open descriptors, half for each.
    #[must_use]
    pub fn for_open_files(limit: usize) -> Self {
        let max_running = (limit / 2 / DESCRIPTORS_PER_FUNCTION).clamp(1, MAX_RUNNING);
        Self { max_running, max_connections: (limit / 2).max(1), ..Self::default() }
    }

    /// Waits this long for a function's answer, for a request's head and body, and for the next request.
    #[must_use]
    pub fn with_time_limit(self, limit: Duration) -> Self {
        Self { timeout: limit, head_timeout: limit, body_timeout: limit, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            further_hosts: Vec::new(),
            timeout: TIMEOUT,
            max_running: MAX_RUNNING,
            max_waiting: MAX_WAITING,
            max_connections: 8 * MAX_WAITING,
            head_timeout: HEAD_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
        }
    }
}

#[must_use]
pub fn serve(listener: TcpListener, routes: Vec<Route>, options: Options) -> Gateway {
    let Options { further_hosts, timeout, max_running, max_waiting, max_connections, head_timeout, body_timeout } =
        options;
    let port = listener.local_addr().map_or(0, |address| address.port());
    let queue = Queue::new(max_running, max_waiting);
    let routes = routes.into_iter().map(Target::new).collect();
    let inner = Arc::new(Inner { routes, queue, timeout, body_timeout, port, stop: CancellationToken::new() });
    let router = Router::new().fallback(handle).layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    let router = require_own_host(router.with_state(Arc::clone(&inner)), &further_hosts, OTHER_HOST_HELP);
    Gateway { server: Server::serve_limited(listener, router, max_connections, head_timeout), inner }
}

impl Gateway {
    #[must_use]
    pub fn invocations(&self) -> u64 {
        self.inner.routes.iter().map(|target| target.invoker.invocations()).sum()
    }

    pub async fn shutdown(mut self) {
        self.inner.stop.cancel();
        self.server.stop().await;
        for target in &self.inner.routes {
            target.invoker.wait_idle().await;
        }
    }
}

#[derive(Debug)]
struct Inner {
    routes: Vec<Target>,
    queue: Queue,
    timeout: Duration,
    body_timeout: Duration,
    port: u16,
    /// Ends the waiting functions.
    stop: CancellationToken,
}

#[derive(Debug)]
struct Target {
    method: Option<Method>,
    prefix: String,
    exact: bool,
    waits: bool,
    invoker: Invoker,
}

impl Target {
    fn new(route: Route) -> Self {
        Self {
            method: route.method,
            prefix: route.prefix.trim_end_matches('/').to_owned(),
            exact: route.exact,
            waits: route.waits,
            invoker: Invoker::new(route.function),
        }
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        let rest = path.strip_prefix(self.prefix.as_str());
        self.method.as_ref().is_none_or(|expected| expected == method)
            && rest.is_some_and(|rest| rest.is_empty() || !self.exact && rest.starts_with('/'))
    }
}

impl Inner {
    /// Selects the longest matching prefix; among equal prefixes, a route with a method precedes one without.
    fn route(&self, method: &Method, path: &str) -> Option<&Target> {
        self.routes
            .iter()
            .filter(|target| target.matches(method, path))
            .max_by_key(|target| (target.prefix.len(), target.method.is_some()))
    }
}

async fn handle(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = Request::from_parts(head.clone(), body);
    let body = match tokio::time::timeout(inner.body_timeout, Bytes::from_request(body, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(refused)) if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => return too_large_response(),
        Ok(Err(refused)) => return refused.into_response(),
        Err(_) => return gateway_response(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
    };
    let Some(target) = inner.route(&head.method, head.uri.path()) else {
        return gateway_response(StatusCode::NOT_FOUND, "Not Found");
    };
    let event = request::to_event(&head, &body, client.ip(), inner.port);
    if !target.waits && exceeds(&event, MAX_EVENT_BYTES) {
        return too_large_response();
    }
    let answer = async {
        if target.waits {
            return inner.stop.run_until_cancelled(target.invoker.invoke_here(event)).await;
        }
        match inner.queue.wait_turn().await {
            Some(turn) => Some(target.invoker.invoke_in(turn, event).await),
            None => None,
        }
    };
    let answer = match tokio::time::timeout(inner.timeout, answer).await {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            tracing::warn!(method = %head.method, path = head.uri.path(), "too many requests wait behind the gateway");
            return busy_response();
        }
        Err(_) => {
            tracing::warn!(method = %head.method, path = head.uri.path(), "function behind the gateway timed out");
            return busy_response();
        }
    };
    let answer = answer.and_then(|answer| match exceeds(&answer, MAX_ANSWER_BYTES) {
        true => Err(format!("its answer exceeds {MAX_ANSWER_BYTES} bytes")),
        false => response::to_http(answer),
    });
    answer.unwrap_or_else(|error| {
        tracing::warn!(error, method = %head.method, path = head.uri.path(), "function behind the gateway failed");
        gateway_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    })
}

/// Whether Lambda refuses an event or an answer.
fn exceeds(payload: &Value, limit: usize) -> bool {
    serde_json::to_vec(payload).is_ok_and(|text| text.len() > limit)
}

fn too_large_response() -> Response {
    gateway_response(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
}

/// The form of the API's own problems.
fn busy_response() -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let problem = json!({
        "type": "about:blank", "title": "Service Unavailable", "status": status.as_u16(), "code": "unavailable",
        "detail": "The server has more requests than it can answer in time.",
        "help": "Repeat the request after the time of `Retry-After`.",
    });
    let headers = [(RETRY_AFTER, RETRY_AFTER_SECS), (CONTENT_TYPE, "application/problem+json")];
    (status, headers, problem.to_string()).into_response()
}

fn gateway_response(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
