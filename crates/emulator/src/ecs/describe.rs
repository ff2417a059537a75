//! Answers DescribeTasks, ListTasks and the metadata endpoint (version 4) of a task.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::ApiError;
use super::names::{cluster_name, last_segment, task_arn};
use super::record::Status;
use super::tasks::TaskRegistry;

/// ECS's limit of tasks per call.
const MAX_TASKS: usize = 100;

#[derive(Debug, Deserialize)]
pub(super) struct DescribeRequest {
    cluster: Option<String>,
    #[serde(default)]
    tasks: Vec<String>,
}

/// Answers DescribeTasks; a missing task is a `MISSING` failure in a 200 response.
pub(super) async fn describe_tasks(tasks: &TaskRegistry, request: DescribeRequest) -> Result<Value, ApiError> {
    let cluster = cluster_name(request.cluster.as_deref())?;
    if request.tasks.is_empty() {
        return Err(ApiError::invalid_parameter("Tasks cannot be empty."));
    }
    if request.tasks.len() > MAX_TASKS {
        return Err(ApiError::invalid_parameter("Tasks cannot have more than 100 elements."));
    }
    let mut descriptions = Vec::new();
    let mut failures = Vec::new();
    for reference in &request.tasks {
        match tasks.find(&cluster, reference) {
            Some(task) => descriptions.push(task.describe().await.to_json()),
            None => failures.push(json!({
                "arn": task_arn(&cluster, last_segment(reference)),
                "reason": "MISSING",
            })),
        }
    }
    Ok(json!({ "tasks": descriptions, "failures": failures }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListRequest {
    cluster: Option<String>,
    started_by: Option<String>,
    desired_status: Option<String>,
}

/// Answers ListTasks with one page, ordered by id; `desiredStatus` defaults to RUNNING.
pub(super) async fn list_tasks(tasks: &TaskRegistry, request: ListRequest) -> Result<Value, ApiError> {
    let cluster = cluster_name(request.cluster.as_deref())?;
    let status = match request.desired_status.as_deref() {
        None | Some("RUNNING") => Status::Running,
        // ECS accepts PENDING and finds no task: no task has this desired status.
        Some("PENDING") => Status::Pending,
        Some("STOPPED") => Status::Stopped,
        Some(_) => return Err(ApiError::invalid_parameter("Invalid desiredStatus.")),
    };
    let mut arns = Vec::new();
    for task in tasks.list().into_iter().filter(|task| task.cluster == cluster) {
        let description = task.describe().await;
        let by_other = request.started_by.is_some() && request.started_by != description.started_by;
        if !by_other && description.desired_status == status && arns.len() < MAX_TASKS {
            arns.push(description.task_arn);
        }
    }
    Ok(json!({ "taskArns": arns }))
}

pub(super) async fn get_metadata(
    State(tasks): State<Arc<TaskRegistry>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let task = tasks.by_id(&id).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(json!({ "TaskARN": task.describe().await.task_arn })))
}
