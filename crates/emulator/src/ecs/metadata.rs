//! Serves the task metadata endpoint, version 4, without statistics.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::record::Record;
use super::tasks::Tasks;

pub(super) async fn task(State(tasks): State<Arc<Tasks>>, Path(id): Path<String>) -> Result<Json<Value>, StatusCode> {
    let task = tasks.by_id(&id).ok_or(StatusCode::NOT_FOUND)?;
    let record = task.record.lock().await;
    let containers = of_containers(&record);
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

pub(super) async fn container(
    State(tasks): State<Arc<Tasks>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let task = tasks.by_id(&id).ok_or(StatusCode::NOT_FOUND)?;
    let record = task.record.lock().await;
    of_containers(&record).into_iter().next().map(Json).ok_or(StatusCode::NOT_FOUND)
}

fn of_containers(record: &Record) -> Vec<Value> {
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
