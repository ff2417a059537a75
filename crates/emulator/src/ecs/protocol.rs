//! Dispatches calls of the ECS API by `X-Amz-Target` and encodes responses and errors in the AWS JSON 1.1 protocol.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::{Full, Limited};
use serde_json::{Value, json};

use super::failure::{ApiError, parse_request};
use super::tasks::TaskRegistry;
use super::{describe, run, stop};
use crate::timestamp::random_uuid;

const PREFIX: &str = "AmazonEC2ContainerServiceV20141113.";

/// Handles `POST /`, the address of all calls of the AWS SDK.
pub(super) async fn handle(State(tasks): State<Arc<TaskRegistry>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default().to_owned();
    // Spawned: the call completes even if the client disconnects.
    let result = tokio::spawn(async move { dispatch(&tasks, &target, &body).await }).await;
    match result {
        Ok(Ok(output)) => respond(StatusCode::OK, &output),
        Ok(Err(ApiError::DropResponse)) => dropped_response(),
        Ok(Err(ApiError::Exception { kind, message })) => {
            let status = match kind {
                "ServerException" => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            respond(status, &json!({ "__type": kind, "message": message }))
        }
        // The spawned call panicked.
        Err(_) => respond(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({ "__type": "ServerException", "message": "Internal error" }),
        ),
    }
}

async fn dispatch(tasks: &Arc<TaskRegistry>, target: &str, body: &[u8]) -> Result<Value, ApiError> {
    match target.strip_prefix(PREFIX) {
        // RunTask also compares the whole body with earlier requests under its client token.
        Some("RunTask") => run::run_task(tasks, body).await,
        Some("StopTask") => stop::stop_task(tasks, parse_request(body)?).await,
        Some("DescribeTasks") => describe::describe_tasks(tasks, parse_request(body)?).await,
        Some("ListTasks") => describe::list_tasks(tasks, parse_request(body)?).await,
        _ => Err(ApiError::exception("UnknownOperationException", format!("Unknown operation {target:?}"))),
    }
}

fn respond(status: StatusCode, content: &Value) -> Response {
    let mut response = Response::new(Body::from(content.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    if let Ok(id) = HeaderValue::from_str(&random_uuid()) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// Simulates a lost response: the body fails at its first frame, so hyper closes the connection without a head.
fn dropped_response() -> Response {
    // Longer than the limit of one byte.
    let body = Full::new(Bytes::from_static(b"lost"));
    Response::new(Body::new(Limited::new(body, 1)))
}
