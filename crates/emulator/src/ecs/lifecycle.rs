//! Runs one task through PROVISIONING, PENDING, RUNNING and STOPPED.

use std::sync::Arc;

use super::process::Process;
use super::record::{Record, Status, StopCode};
use super::tasks::{Task, Tasks};
use crate::moment::Moment;

pub(super) const SHUTDOWN: &str = "The embedded ECS shut down";

/// Runs a task recorded as PROVISIONING until it stops.
pub(super) async fn live(tasks: Arc<Tasks>, task: Arc<Task>) {
    match pause(&tasks, &task).await {
        Pause::Over => {}
        Pause::Stopped => return end(&tasks, &task, None).await,
        Pause::Abandoned => return,
    }
    task.change(&tasks.events, |record| record.task.enter(Status::Pending)).await;
    let starts = if task.starts { pause(&tasks, &task).await } else { stuck(&tasks, &task).await };
    match starts {
        Pause::Over => {}
        Pause::Stopped => return end(&tasks, &task, None).await,
        Pause::Abandoned => return,
    }
    if let Some(process) = start(&tasks, &task).await {
        follow(tasks, task, process).await;
    }
}

/// Follows a task recorded as RUNNING until it stops.
pub(super) async fn follow(tasks: Arc<Tasks>, task: Arc<Task>, mut process: Process) {
    let ending = async {
        tokio::select! {
            ended = process.wait() => ended,
            () = task.stop.cancelled() => process.terminate(tasks.options.stop_timeout).await,
        }
    };
    let ended = tokio::select! {
        biased;
        () = tasks.abandoned.cancelled() => None,
        ended = ending => Some(ended),
    };
    match ended {
        None => process.leave(),
        Some(Ok(code)) => end(&tasks, &task, code).await,
        Some(Err(error)) => {
            tracing::error!(task = task.id, %error, "exit of an ECS task unknown");
            end(&tasks, &task, None).await;
        }
    }
}

enum Pause {
    Over,
    Stopped,
    Abandoned,
}

async fn pause(tasks: &Tasks, task: &Task) -> Pause {
    tokio::select! {
        biased;
        () = tasks.abandoned.cancelled() => Pause::Abandoned,
        () = task.stop.cancelled() => Pause::Stopped,
        () = tokio::time::sleep(tasks.options.transition) => Pause::Over,
    }
}

/// Waits for a stop without starting the task.
async fn stuck(tasks: &Tasks, task: &Task) -> Pause {
    tokio::select! {
        biased;
        () = tasks.abandoned.cancelled() => Pause::Abandoned,
        () = task.stop.cancelled() => Pause::Stopped,
    }
}

/// Starts the child and records it as RUNNING, or ends the task if it cannot start or must not.
/// The record stays locked, so that a stop comes before or after the start. A child that queries the metadata endpoint
/// waits until it is recorded as running.
async fn start(tasks: &Tasks, task: &Task) -> Option<Process> {
    let mut record = task.record.lock().await;
    if record.task.desired_status == Status::Stopped {
        task.change_locked(&mut record, &tasks.events, |record| ended(task, record, None)).await;
        return None;
    }
    let uri = format!("{}/v4/{}", tasks.url, task.id);
    match Process::spawn(&record.command, &task.environment, &uri, &task.folder) {
        Ok(process) => {
            let mark = process.mark();
            task.change_locked(&mut record, &tasks.events, |record| {
                record.process = Some(mark);
                record.task.started_at = Some(Moment::now().epoch_secs());
                record.task.enter(Status::Running);
            })
            .await;
            Some(process)
        }
        Err(error) => {
            let program = record.command.first().map_or("", String::as_str);
            let reason = format!("CannotStartContainerError: exec: {program:?}: {error}");
            task.change_locked(&mut record, &tasks.events, |record| {
                for container in &mut record.task.containers {
                    container.reason = Some(reason.clone());
                }
                record.task.end(StopCode::TaskFailedToStart, &reason);
            })
            .await;
            None
        }
    }
}

async fn end(tasks: &Tasks, task: &Task, exit_code: Option<i32>) {
    task.change(&tasks.events, |record| ended(task, record, exit_code)).await;
}

fn ended(task: &Task, record: &mut Record, exit_code: Option<i32>) {
    for container in &mut record.task.containers {
        container.exit_code = exit_code;
    }
    // StopTask has recorded its own cause already; otherwise only a shutdown cancels.
    if task.stop.is_cancelled() {
        record.task.end(StopCode::UserInitiated, SHUTDOWN);
    } else {
        let reason = match exit_code {
            Some(_) => "Essential container in task exited",
            None => "Essential container in task exited; its exit code is unknown",
        };
        record.task.end(StopCode::EssentialContainerExited, reason);
    }
}
