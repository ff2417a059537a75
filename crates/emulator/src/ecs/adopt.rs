//! Adopts the tasks that an earlier process left in the folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::task_arn;
use super::process::{self, Process};
use super::record::{Status, StopCode, TaskRecord};
use super::tasks::{Task, TaskRegistry};
use super::{disk, lifecycle, run};

const RESTART_REASON: &str = "The host of the task was restarted.";

/// Adopts every task in a folder; logs and skips unreadable ones.
/// Idempotent: a running or stopped task does not change.
pub(super) async fn adopt_tasks(tasks: &Arc<TaskRegistry>, folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let folder = entry?.path();
        match load_record(&folder) {
            Ok((id, record)) => adopt_task(tasks, folder, id, record).await,
            // Omit the content: it may contain secrets.
            Err(error) => tracing::warn!(folder = %folder.display(), %error, "ECS task not readopted"),
        }
    }
    Ok(())
}

fn load_record(folder: &Path) -> io::Result<(String, TaskRecord)> {
    let record: TaskRecord = serde_json::from_slice(&disk::load_task(folder)?).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        io::Error::new(io::ErrorKind::InvalidData, format!("no state of a task: {place}"))
    })?;
    let id = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if record.task.task_arn != task_arn(&record.cluster, id) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the state of another task"));
    }
    Ok((id.to_owned(), record))
}

async fn adopt_task(tasks: &Arc<TaskRegistry>, folder: PathBuf, id: String, record: TaskRecord) {
    let (last, desired) = (record.task.last_status, record.task.desired_status);
    let process = record.process.clone();
    let task = Arc::new(Task {
        id,
        cluster: record.cluster.clone(),
        folder,
        // Only a start needs it, and an adopted task is never started again.
        environment: Vec::new(),
        can_start: true,
        stop: tasks.shutdown.child_token(),
        record: tokio::sync::Mutex::new(record),
    });
    tasks.insert(Arc::clone(&task));
    run::restore_token(tasks, &task).await;
    if last == Status::Stopped {
        return;
    }
    if desired == Status::Stopped {
        // Continue a stop that was requested before the restart.
        task.stop.cancel();
    }
    match process.and_then(|mark| Process::adopt(mark, &task.id)) {
        Some(process) => {
            let life = lifecycle::follow_process(Arc::clone(tasks), Arc::clone(&task), process);
            tasks.background.spawn(life);
        }
        None => {
            // Kill before recording the stop: a crash between a spawn and its record leaves an unrecorded process.
            process::kill_orphans(&task.id).await;
            let code = match last {
                Status::Running => StopCode::EssentialContainerExited,
                _ => StopCode::TaskFailedToStart,
            };
            task.update(&tasks.events, |record| record.task.end(code, RESTART_REASON)).await;
        }
    }
}
