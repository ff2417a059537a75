//! Runs rustack as SQS on a loopback port, in memory.
//! A restart loses every message. Visibility timeouts and delays may end up to a second late.

mod trace_header;
mod validation;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http_body_util::BodyExt as _;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::dispatch::dispatch_operation;
use rustack_sqs_http::response::error_to_response;
use rustack_sqs_http::router::resolve_operation;
use serde_json::{Value, json};

use crate::access::Access;
use crate::server::{self, Server};
use crate::{ACCOUNT, Error, REGION, timestamp};

#[derive(Clone)]
pub struct Sqs {
    handler: Arc<RustackSqsHandler>,
}

impl fmt::Debug for Sqs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sqs").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("call SQS {operation}: {kind}: {message}")]
pub struct CallError {
    pub operation: String,
    /// The `__type` of the response.
    pub kind: String,
    pub message: String,
}

impl Sqs {
    /// Calls an operation (`SendMessage`, `ReceiveMessage` …) with its JSON 1.0 request.
    /// Errors: SQS answered with an error status.
    pub async fn call(&self, operation: &str, request: &Value) -> Result<Value, CallError> {
        let failed =
            |kind: &str, message: String| CallError { operation: operation.to_owned(), kind: kind.to_owned(), message };
        let mut headers = HeaderMap::new();
        let target = HeaderValue::from_str(&format!("AmazonSQS.{operation}"))
            .map_err(|error| failed("InvalidAction", error.to_string()))?;
        headers.insert("x-amz-target", target);
        let response = self.handle(&headers, request.to_string().into()).await;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| failed("InternalFailure", error.to_string()))?
            .to_bytes();
        let answer: Value =
            serde_json::from_slice(&body).map_err(|error| failed("InternalFailure", error.to_string()))?;
        if status.is_success() {
            return Ok(answer);
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        Err(failed(text("__type"), text("message").to_owned()))
    }

    async fn handle(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let operation = server::operation(headers);
        let request = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        if let Some((code, message)) = validation::validate(operation, &request) {
            return error_response(code, &message);
        }
        match trace_header::wrap_request(operation, &request) {
            None => self.dispatch(headers, body).await,
            Some(changed) => {
                let answer = self.dispatch(headers, changed.to_string().into()).await;
                restore_trace_headers(operation, &request, answer).await
            }
        }
    }

    async fn dispatch(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let result = match resolve_operation(headers) {
            Ok(operation) => dispatch_operation(self.handler.as_ref(), operation, body).await,
            Err(error) => Err(error),
        };
        result.unwrap_or_else(|error| error_to_response(&error, &timestamp::random_uuid())).map(Body::new)
    }
}

fn error_response(code: &str, message: &str) -> Response {
    let headers = [
        ("content-type", "application/x-amz-json-1.0".to_owned()),
        ("x-amzn-query-error", format!("{code};Sender")),
        ("x-amzn-requestid", timestamp::random_uuid()),
    ];
    (StatusCode::BAD_REQUEST, headers, json!({ "__type": code, "message": message }).to_string()).into_response()
}

async fn restore_trace_headers(operation: &str, request: &Value, answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Response::from_parts(head, Body::empty()),
    };
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(head, Body::from(bytes));
    };
    trace_header::unwrap_response(operation, request, &mut value);
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(value.to_string()))
}

#[derive(Debug)]
pub(crate) struct SqsServer {
    pub(crate) url: String,
    pub(crate) queues: Sqs,
    pub(crate) router: Router,
    provider: Arc<RustackSqs>,
    server: Server,
}

impl SqsServer {
    pub(crate) async fn start(access: &Access, port: Option<u16>) -> Result<Self, Error> {
        // Bind first, because the port is part of every queue URL.
        let (listener, address) = server::bind("SQS", port).await?;
        let provider = Arc::new(RustackSqs::new(SqsConfig {
            skip_signature_validation: true,
            default_region: REGION.to_owned(),
            account_id: ACCOUNT.to_owned(),
            host: address.ip().to_string(),
            port: address.port(),
        }));
        let queues = Sqs { handler: Arc::new(RustackSqsHandler::new(Arc::clone(&provider))) };
        // Clients that use the queue URL as endpoint post to its path.
        let router =
            Router::new().route("/", post(handle)).route("/{account}/{queue}", post(handle)).with_state(queues.clone());
        let router = access.protect(router);
        let server = Server::serve_router(listener, router.clone());
        Ok(Self { url: format!("http://{address}"), queues, router, provider, server })
    }

    /// Stops the queues first, which ends open long polls.
    pub(crate) async fn shutdown(mut self) {
        self.provider.shutdown_all().await;
        self.server.stop().await;
    }
}

async fn handle(State(queues): State<Sqs>, headers: HeaderMap, body: Bytes) -> Response {
    queues.handle(&headers, body).await
}
