//! Emulates an API Gateway HTTP API: routes each request to a function as a Lambda event.
//! Stages, authorisers, CORS and TLS are not emulated.

mod request;
mod response;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
pub use axum::http::Method;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::net::TcpListener;

use super::Function;
use super::invoke::Invoker;
use crate::server::Server;

/// Body limit of an HTTP API.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
/// Time limit of an HTTP API for its function.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Route {
    pub method: Option<Method>,
    /// Path prefix in complete segments: `/api` matches `/api` and `/api/x` but not `/apix`.
    pub prefix: String,
    /// Matches only `prefix` itself, like a route without `{proxy+}`.
    pub exact: bool,
    pub function: Function,
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

#[must_use]
pub fn serve(listener: TcpListener, routes: Vec<Route>) -> Gateway {
    serve_with_timeout(listener, routes, TIMEOUT)
}

#[must_use]
pub fn serve_with_timeout(listener: TcpListener, routes: Vec<Route>, timeout: Duration) -> Gateway {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let inner = Arc::new(Inner { routes: routes.into_iter().map(Target::new).collect(), timeout, port });
    let router = Router::new().fallback(handle).layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    let router = router.with_state(Arc::clone(&inner));
    Gateway { server: Server::serve_router(listener, router), inner }
}

impl Gateway {
    #[must_use]
    pub fn invocations(&self) -> u64 {
        self.inner.routes.iter().map(|target| target.invoker.invocations()).sum()
    }

    pub async fn shutdown(mut self) {
        self.server.stop().await;
        for target in &self.inner.routes {
            target.invoker.wait_idle().await;
        }
    }
}

#[derive(Debug)]
struct Inner {
    routes: Vec<Target>,
    timeout: Duration,
    port: u16,
}

#[derive(Debug)]
struct Target {
    method: Option<Method>,
    prefix: String,
    exact: bool,
    invoker: Invoker,
}

impl Target {
    fn new(route: Route) -> Self {
        Self {
            method: route.method,
            prefix: route.prefix.trim_end_matches('/').to_owned(),
            exact: route.exact,
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
    head: Parts,
    body: Bytes,
) -> Response {
    let Some(target) = inner.route(&head.method, head.uri.path()) else {
        return gateway_response(StatusCode::NOT_FOUND, "Not Found");
    };
    let event = request::to_event(&head, &body, client.ip(), inner.port);
    let Ok(answer) = tokio::time::timeout(inner.timeout, target.invoker.invoke(event)).await else {
        tracing::warn!(method = %head.method, path = head.uri.path(), "function behind the gateway timed out");
        return gateway_response(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
    };
    answer.and_then(response::to_http).unwrap_or_else(|error| {
        tracing::warn!(error, method = %head.method, path = head.uri.path(), "function behind the gateway failed");
        gateway_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    })
}

fn gateway_response(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
