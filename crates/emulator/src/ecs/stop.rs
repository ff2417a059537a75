//! Answers StopTask and stops all tasks at shutdown; the lifecycle does the killing.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::Failure;
use super::lifecycle::SHUTDOWN;
use super::names::cluster_name;
use super::record::{Description, Status, StopCode};
use super::tasks::{Task, Tasks};
use crate::moment::Moment;

#[derive(Debug, Deserialize)]
pub(super) struct Request {
    cluster: Option<String>,
    task: Option<String>,
    reason: Option<String>,
}

/// Idempotent: a stopping or stopped task is returned unchanged.
pub(super) async fn answer(tasks: &Tasks, request: Request) -> Result<Value, Failure> {
    let cluster = cluster_name(request.cluster.as_deref())?;
    let wanted = request.task.unwrap_or_default();
    let task = tasks
        .find(&cluster, &wanted)
        .ok_or_else(|| Failure::invalid_parameter("The referenced task was not found."))?;
    let reason = request.reason.unwrap_or_else(|| "Task stopped by user".to_owned());
    let description = ask(tasks, &task, &reason).await;
    Ok(json!({ "task": description.to_json() }))
}

/// Stops every task and waits until all are dead, bounded by the stop timeout.
pub(super) async fn everything(tasks: &Arc<Tasks>) {
    for task in tasks.list() {
        ask(tasks, &task, SHUTDOWN).await;
    }
    // Also stops tasks that a late RunTask has started after the loop above.
    tasks.closing.cancel();
    tasks.lives.close();
    tasks.lives.wait().await;
}

/// Ends the background work of the service but leaves tasks and processes running.
pub(super) async fn following(tasks: &Tasks) {
    tasks.abandoned.cancel();
    tasks.lives.close();
    tasks.lives.wait().await;
}

async fn ask(tasks: &Tasks, task: &Task, reason: &str) -> Description {
    let mut record = task.record.lock().await;
    if record.task.desired_status == Status::Stopped {
        return record.task.clone();
    }
    let description = task
        .change_locked(&mut record, &tasks.events, |record| {
            record.task.desired_status = Status::Stopped;
            record.task.stop_code = Some(StopCode::UserInitiated);
            record.task.stopped_reason = Some(reason.to_owned());
            record.task.stopping_at = Some(Moment::now().epoch_secs());
        })
        .await;
    task.stop.cancel();
    description
}
