//! A start on a folder with tasks of an earlier life: each is taken up where that life left it.
//!
//! Owns what becomes of them. Whether a process is still the same, the process itself tells.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::task_arn;
use super::process::{self, Process};
use super::record::{Record, Status, StopCode};
use super::tasks::{Task, Tasks};
use super::{disk, lifecycle, run};

const RESTARTED: &str = "The host of the task was restarted.";

/// Takes up every task of a folder; what can't be read is logged and left as it is.
///
/// Idempotent: nothing changes for a task that runs or has stopped.
pub(super) async fn everything(tasks: &Arc<Tasks>, folder: &Path) -> io::Result<()> {
    let mut records = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let folder = entry?.path();
        match read(&folder) {
            Ok((id, record)) => records.push((folder, id, record)),
            // Not the content: it may carry secrets.
            Err(error) => tracing::warn!(folder = %folder.display(), %error, "an ECS task can't be taken up"),
        }
    }
    // As they were started, as far as the clock tells, so that a client token finds them in that order.
    records.sort_by(|(_, _, one), (_, _, other)| one.task.created_at.total_cmp(&other.task.created_at));
    for (folder, id, record) in records {
        take_up(tasks, folder, id, record).await;
    }
    Ok(())
}

/// The id and the state of the task of a folder.
fn read(folder: &Path) -> io::Result<(String, Record)> {
    let record: Record = serde_json::from_slice(&disk::load(folder)?).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        io::Error::new(io::ErrorKind::InvalidData, format!("no state of a task: {place}"))
    })?;
    let id = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if record.task.task_arn != task_arn(&record.cluster, id) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the state of another task"));
    }
    Ok((id.to_owned(), record))
}

async fn take_up(tasks: &Arc<Tasks>, folder: PathBuf, id: String, record: Record) {
    let (last, desired) = (record.task.last_status, record.task.desired_status);
    let process = record.process.clone();
    let task = Arc::new(Task {
        id,
        cluster: record.cluster.clone(),
        family: record.family.clone(),
        folder,
        // Only a start needs it, and this task is never started again.
        environment: Vec::new(),
        starts: true,
        stop: tasks.closing.child_token(),
        record: tokio::sync::Mutex::new(record),
    });
    tasks.insert(Arc::clone(&task));
    run::remember(tasks, &task).await;
    if last == Status::Stopped {
        return;
    }
    if desired == Status::Stopped {
        // The stop that was asked for goes on.
        task.stop.cancel();
    }
    match process.and_then(|mark| Process::adopt(mark, &task.id)) {
        Some(process) => {
            let life = lifecycle::follow(Arc::clone(tasks), Arc::clone(&task), process);
            tasks.lives.spawn(life);
        }
        None => {
            // Dead when it says so: of a crash between a start and its record only the process tells.
            process::kill_remains(&task.id).await;
            let code = match last {
                Status::Running => StopCode::EssentialContainerExited,
                _ => StopCode::TaskFailedToStart,
            };
            task.change(&tasks.events, |record| record.task.end(code, RESTARTED)).await;
        }
    }
}
