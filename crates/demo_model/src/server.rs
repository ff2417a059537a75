//! The HTTP server and its routes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{head, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};

use crate::error::Error;
use crate::handler::{Shared, anthropic, openai};
use crate::log::{Log, Outcome, Request};
use crate::resettable::{ConnectionReset, ResettableListener};
use crate::script::{Script, Step};
use crate::subscription;

/// Time limit for open responses at shutdown; scripted ones may never end.
const STOP_LIMIT: Duration = Duration::from_millis(200);
/// Each request contains the whole conversation with all tool results. Units: bytes.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub struct Options {
    pub listener: TcpListener,
}

#[derive(Debug)]
pub struct DemoModel {
    shared: Arc<Shared>,
    url: String,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl DemoModel {
    /// Serves the listener until `shutdown`. The script starts empty.
    /// Errors: `NotLoopback`.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let address = options.listener.local_addr().map_err(|source| Error::Listener { source })?;
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback { address });
        }
        let shared = Arc::new(Shared { script: Script::default(), log: Log::new() });
        let routes = Router::new()
            .route("/", head(no_step))
            .route("/v1/messages", post(anthropic))
            .route("/v1/messages/count_tokens", post(no_step))
            .route("/v1/responses", post(openai))
            .merge(subscription::routes())
            .fallback(unknown_route)
            .method_not_allowed_fallback(unknown_route)
            .layer(axum::extract::DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(shared.clone())
            .into_make_service_with_connect_info::<ConnectionReset>();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            let stopped = async move {
                // A dropped sender stops the server as well.
                let _ = stopped.await;
            };
            if let Err(error) =
                axum::serve(ResettableListener(options.listener), routes).with_graceful_shutdown(stopped).await
            {
                tracing::error!(error = %error, "the demo model stopped serving: {error}");
            }
        });
        Ok(Self { shared, url: base_url(address), running: Mutex::new(Some(Running { stop, server })) })
    }

    /// Base URL for clients of Anthropic, such as `http://127.0.0.1:4010`, without a slash at its end.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn openai_url(&self) -> String {
        format!("{}/v1", self.url)
    }

    pub fn add_steps(&self, steps: impl IntoIterator<Item = impl Into<Step>>) {
        self.shared.script.add(steps.into_iter().map(Into::into));
    }

    pub fn set_repeating_step(&self, step: impl Into<Step>) {
        self.shared.script.set_repeating_step(step.into());
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.log.requests()
    }

    pub fn model_calls(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.outcome.is_model_call()).collect()
    }

    pub async fn wait_for(&self, seen: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        self.shared.log.wait_for(seen).await
    }

    pub async fn wait_for_turns(&self, count: usize) {
        self.wait_for(|requests| requests.iter().filter(|request| request.outcome.is_model_call()).count() >= count)
            .await;
    }

    pub async fn shutdown(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, mut server }) = running else {
            return;
        };
        let _ = stop.send(());
        if timeout(STOP_LIMIT, &mut server).await.is_err() {
            server.abort();
        }
    }
}

fn base_url(address: SocketAddr) -> String {
    format!("http://{address}")
}

async fn no_step(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.log.add(Request::new(&method, &uri, &headers, &body, Outcome::NoStep));
    Json(json!({ "input_tokens": 100 })).into_response()
}

async fn unknown_route(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.log.add(Request::new(&method, &uri, &headers, &body, Outcome::NotServed));
    StatusCode::NOT_FOUND.into_response()
}
