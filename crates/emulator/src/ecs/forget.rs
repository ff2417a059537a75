//! Deletes old stopped tasks, which would otherwise fill memory and disk; AWS deletes them after an hour.
//! A task whose end has not been announced is retained for the next subscriber.

use std::sync::Arc;
use std::time::Duration;

use super::record::Status;
use super::tasks::{Task, Tasks};
use crate::moment::Moment;

const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Deletes old tasks once per interval until the service shuts down or is abandoned.
pub(super) async fn now_and_then(tasks: Arc<Tasks>) {
    loop {
        old(&tasks).await;
        tokio::select! {
            () = tasks.closing.cancelled() => return,
            () = tasks.abandoned.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Deletes expired tasks, their folders and their client tokens.
async fn old(tasks: &Tasks) {
    // Hold the lock for the whole pass: a repeated RunTask finds all tasks of its token, or starts new ones.
    let mut tokens = tasks.tokens.lock().await;
    let before = Moment::now().epoch_secs() - tasks.options.forget_after.as_secs_f64();
    for task in tasks.list() {
        if !is_over(&task, before).await {
            continue;
        }
        if let Err(error) = tokio::fs::remove_dir_all(&task.folder).await {
            tracing::warn!(task = task.id, %error, "folder of an ECS task not removed");
            continue;
        }
        tasks.remove(&task.id);
        tokens.retain(|_, used| used.lose(&task.id));
    }
}

async fn is_over(task: &Task, before: f64) -> bool {
    let record = task.record.lock().await;
    let stopped = record.task.last_status == Status::Stopped && record.announced;
    stopped && record.task.stopped_at.is_some_and(|at| at <= before)
}
