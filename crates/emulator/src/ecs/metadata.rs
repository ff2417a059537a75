//! Serves the task metadata endpoint, version 4, without statistics.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::record::TaskRecord;
use super::tasks::TaskRegistry;

pub(super) async fn get_task(
    State(tasks): State<Arc<TaskRegistry>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let task = tasks.by_id(&id).ok_or(StatusCode::NOT_FOUND)?;
    let record = task.record.lock().await;
    let containers = containers_json(&record);
    Ok(Json(json!({
        "Cluster": record.task.cluster_arn,
        "TaskARN": record.task.task_arn,
        "Family": record.family,
        "Revision": "1",
        "DesiredStatus": record.task.desired_status.as_str(),
        "KnownStatus": record.task.last_status.as_str(),
        "LaunchType": record.task.launch_type,
        "Containers": containers,
    })))
}

pub(super) async fn get_container(
    State(tasks): State<Arc<TaskRegistry>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let task = tasks.by_id(&id).ok_or(StatusCode::NOT_FOUND)?;
    let record = task.record.lock().await;
    containers_json(&record).into_iter().next().map(Json).ok_or(StatusCode::NOT_FOUND)
}

fn containers_json(record: &TaskRecord) -> Vec<Value> {
    record
        .task
        .containers
        .iter()
        .map(|container| {
            json!({
                "Name": container.name,
                "DockerName": container.name,
                "ContainerARN": container.container_arn,
                "DesiredStatus": record.task.desired_status.as_str(),
                "KnownStatus": container.last_status.as_str(),
                "Type": "NORMAL",
            })
        })
        .collect()
}
