//! Deletes old stopped tasks, which would otherwise fill memory and disk; AWS deletes them after an hour.
//! A task whose end has not been announced is retained for the next subscriber.

use std::sync::Arc;
use std::time::Duration;

use super::record::Status;
use super::tasks::{Task, TaskRegistry};
use crate::timestamp::Timestamp;

const SWEEP_INTERVAL: Duration = Duration::from_secs(3_600);

pub(super) async fn run_sweeper(tasks: Arc<TaskRegistry>) {
    loop {
        delete_expired(&tasks).await;
        tokio::select! {
            () = tasks.shutdown.cancelled() => return,
            () = tasks.detach.cancelled() => return,
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
        }
    }
}

async fn delete_expired(tasks: &TaskRegistry) {
    // Hold the lock for the whole pass: a repeated RunTask finds the task of its token, or starts a new one.
    let mut tokens = tasks.tokens.lock().await;
    let before = Timestamp::now().epoch_secs() - tasks.options.retention.as_secs_f64();
    for task in tasks.list() {
        if !is_expired(&task, before).await {
            continue;
        }
        if let Err(error) = tokio::fs::remove_dir_all(&task.folder).await {
            tracing::warn!(task = task.id, %error, "folder of an ECS task not removed");
            continue;
        }
        tasks.remove(&task.id);
        tokens.retain(|_, token_use| token_use.task.id != task.id);
    }
}

async fn is_expired(task: &Task, before: f64) -> bool {
    let record = task.record.lock().await;
    let stopped = record.task.last_status == Status::Stopped && record.announced;
    stopped && record.task.stopped_at.is_some_and(|at| at <= before)
}
