//! Dispatches calls of the ECS API by `X-Amz-Target` and encodes responses and errors in the AWS JSON 1.1 protocol.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::failure::{ApiError, parse_request};
use super::tasks::TaskRegistry;
use super::{describe, run, stop};
use crate::server::{broken_response, json_response, operation};

/// Handles `POST /`, the address of all calls of the AWS SDK.
pub(super) async fn handle(State(tasks): State<Arc<TaskRegistry>>, headers: HeaderMap, body: Bytes) -> Response {
    let operation = operation(&headers).to_owned();
    // Spawned: the call completes even if the client disconnects.
    let result = tokio::spawn(async move { dispatch(&tasks, &operation, &body).await }).await;
    match result {
        Ok(Ok(output)) => json_response(StatusCode::OK, output.to_string()),
        Ok(Err(ApiError::DropResponse)) => broken_response(),
        Ok(Err(ApiError::NoPlace)) => {
            json_response(StatusCode::OK, run::failure_response("RESOURCE:MEMORY").to_string())
        }
        Ok(Err(ApiError::Exception { kind, message })) => {
            let status = match kind {
                "ServerException" => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            error_response(status, kind, &message)
        }
        // The spawned call panicked.
        Err(_) => error_response(StatusCode::INTERNAL_SERVER_ERROR, "ServerException", "Internal error"),
    }
}

async fn dispatch(tasks: &Arc<TaskRegistry>, operation: &str, body: &[u8]) -> Result<Value, ApiError> {
    match operation {
        // RunTask also compares the whole body with earlier requests under its client token.
        "RunTask" => run::run_task(tasks, body).await,
        "StopTask" => stop::stop_task(tasks, parse_request(body)?).await,
        "DescribeTasks" => describe::describe_tasks(tasks, parse_request(body)?).await,
        "ListTasks" => describe::list_tasks(tasks, parse_request(body)?).await,
        _ => Err(ApiError::exception("UnknownOperationException", format!("Unknown operation {operation:?}"))),
    }
}

fn error_response(status: StatusCode, kind: &str, message: &str) -> Response {
    json_response(status, json!({ "__type": kind, "message": message }).to_string())
}
