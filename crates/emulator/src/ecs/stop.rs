//! Answers StopTask and stops all tasks at shutdown; the lifecycle does the killing.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::ApiError;
use super::lifecycle::SHUTDOWN_REASON;
use super::names::cluster_name;
use super::record::{Status, StopCode, TaskDescription};
use super::tasks::{Task, TaskRegistry};

#[derive(Debug, Deserialize)]
pub(super) struct Request {
    cluster: Option<String>,
    task: Option<String>,
    reason: Option<String>,
}

/// Idempotent: a stopping or stopped task is returned unchanged.
pub(super) async fn stop_task(tasks: &TaskRegistry, request: Request) -> Result<Value, ApiError> {
    let cluster = cluster_name(request.cluster.as_deref())?;
    let reference = request.task.unwrap_or_default();
    let task = tasks
        .find(&cluster, &reference)
        .ok_or_else(|| ApiError::invalid_parameter("The referenced task was not found."))?;
    let reason = request.reason.unwrap_or_else(|| "Task stopped by user".to_owned());
    let description = request_stop(tasks, &task, &reason).await;
    Ok(json!({ "task": description.to_json() }))
}

/// Stops every task and waits until all are dead, bounded by the stop timeout.
pub(super) async fn stop_all(tasks: &Arc<TaskRegistry>) {
    for task in tasks.list() {
        request_stop(tasks, &task, SHUTDOWN_REASON).await;
    }
    // Also stops tasks that a late RunTask has started after the loop above.
    tasks.shutdown.cancel();
    tasks.background.close();
    tasks.background.wait().await;
}

/// Ends the background work of the service but leaves tasks and processes running.
pub(super) async fn detach_all(tasks: &TaskRegistry) {
    tasks.detach.cancel();
    tasks.background.close();
    tasks.background.wait().await;
}

async fn request_stop(tasks: &TaskRegistry, task: &Task, reason: &str) -> TaskDescription {
    let mut record = task.record.lock().await;
    if record.task.desired_status == Status::Stopped {
        return record.task.clone();
    }
    let description = task
        .update_locked(&mut record, &tasks.events, |record| {
            record.task.desired_status = Status::Stopped;
            record.task.stop_code = Some(StopCode::UserInitiated);
            record.task.stopped_reason = Some(reason.to_owned());
        })
        .await;
    task.stop.cancel();
    description
}
