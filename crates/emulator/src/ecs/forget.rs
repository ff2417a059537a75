//! Stopped tasks are forgotten after a while, as AWS forgets them after an hour: a host that runs for
//! months keeps its memory and its disk.
//!
//! A task whose end nobody was told stays: who subscribes next is to hear of it.

use std::sync::Arc;
use std::time::Duration;

use super::record::Status;
use super::tasks::{Task, Tasks};
use crate::moment::Moment;

const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Looks now and then, until the host ends.
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

/// Forgets what stopped long enough ago: the task, its folder, and the client token it was started with.
async fn old(tasks: &Tasks) {
    // Held over all of it: a call that repeats a token finds the task whole, or starts another.
    let mut tokens = tasks.tokens.lock().await;
    let before = Moment::now().epoch_secs() - tasks.options.forget_after.as_secs_f64();
    for task in tasks.list() {
        if !is_over(&task, before).await {
            continue;
        }
        if let Err(error) = tokio::fs::remove_dir_all(&task.folder).await {
            tracing::warn!(task = task.id, %error, "the folder of an ECS task could not be removed");
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
