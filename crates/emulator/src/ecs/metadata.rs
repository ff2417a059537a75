//! Serves the ARN of a task on its metadata endpoint, version 4.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::tasks::TaskRegistry;

pub(super) async fn get_task(
    State(tasks): State<Arc<TaskRegistry>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let task = tasks.by_id(&id).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(json!({ "TaskARN": task.describe().await.task_arn })))
}
