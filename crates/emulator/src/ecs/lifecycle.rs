//! Runs one task through PROVISIONING, PENDING, RUNNING and STOPPED.

use std::sync::Arc;
use std::time::Duration;

use super::process::Process;
use super::record::{Status, StopCode, TaskRecord};
use super::tasks::{Task, TaskRegistry};
use crate::timestamp::Timestamp;

pub(super) const SHUTDOWN_REASON: &str = "The embedded ECS shut down";

pub(super) async fn run_task(tasks: Arc<TaskRegistry>, task: Arc<Task>) {
    let delay = tasks.options.transition_delay;
    if !elapse_or_end_task(&tasks, &task, delay).await {
        return;
    }
    task.update(&tasks.events, |record| record.task.last_status = Status::Pending).await;
    // A task with the outcome `StaysPending` waits for its stop.
    let delay = if task.can_start { delay } else { Duration::MAX };
    if !elapse_or_end_task(&tasks, &task, delay).await {
        return;
    }
    if let Some(process) = start_process(&tasks, &task).await {
        follow_process(tasks, task, process).await;
    }
}

pub(super) async fn follow_process(tasks: Arc<TaskRegistry>, task: Arc<Task>, mut process: Process) {
    let wait = async {
        tokio::select! {
            result = process.wait() => result,
            () = task.stop.cancelled() => process.terminate(tasks.options.stop_timeout).await,
        }
    };
    let result = tokio::select! {
        biased;
        () = tasks.detach.cancelled() => None,
        result = wait => Some(result),
    };
    match result {
        None => process.release(),
        Some(Ok(code)) => end_task(&tasks, &task, code).await,
        Some(Err(error)) => {
            tracing::error!(task = task.id, %error, "exit of an ECS task unknown");
            end_task(&tasks, &task, None).await;
        }
    }
}

/// Returns whether the delay elapsed. A stop during the delay ends the task; a shutdown of the emulator keeps it.
async fn elapse_or_end_task(tasks: &TaskRegistry, task: &Task, delay: Duration) -> bool {
    tokio::select! {
        biased;
        () = tasks.detach.cancelled() => false,
        () = task.stop.cancelled() => {
            end_task(tasks, task, None).await;
            false
        }
        () = tokio::time::sleep(delay) => true,
    }
}

/// Starts the child and records it as RUNNING, or ends the task if it cannot start or must not.
/// The locked record puts a stop before or after the start, and the metadata endpoint waits for it.
async fn start_process(tasks: &TaskRegistry, task: &Task) -> Option<Process> {
    let mut record = task.record.lock().await;
    if record.task.desired_status == Status::Stopped {
        task.update_locked(&mut record, &tasks.events, |record| record_end(task, record, None)).await;
        return None;
    }
    let uri = format!("{}/v4/{}", tasks.url, task.id);
    match Process::spawn(&record.command, &task.environment, &uri, &task.folder) {
        Ok(process) => {
            let mark = process.identity();
            task.update_locked(&mut record, &tasks.events, |record| {
                record.process = Some(mark);
                record.task.started_at = Some(Timestamp::now().epoch_secs());
                record.task.last_status = Status::Running;
            })
            .await;
            Some(process)
        }
        Err(error) => {
            let program = record.command.first().map_or("", String::as_str);
            let reason = format!("CannotStartContainerError: exec: {program:?}: {error}");
            task.update_locked(&mut record, &tasks.events, |record| {
                record.task.end(StopCode::TaskFailedToStart, &reason);
            })
            .await;
            None
        }
    }
}

async fn end_task(tasks: &TaskRegistry, task: &Task, exit_code: Option<i32>) {
    task.update(&tasks.events, |record| record_end(task, record, exit_code)).await;
}

fn record_end(task: &Task, record: &mut TaskRecord, exit_code: Option<i32>) {
    for container in &mut record.task.containers {
        container.exit_code = exit_code;
    }
    // StopTask has recorded its own cause already; otherwise only a shutdown cancels.
    if task.stop.is_cancelled() {
        record.task.end(StopCode::UserInitiated, SHUTDOWN_REASON);
    } else {
        let reason = match exit_code {
            Some(_) => "Essential container in task exited",
            None => "Essential container in task exited; its exit code is unknown",
        };
        record.task.end(StopCode::EssentialContainerExited, reason);
    }
}
