//! The registry of tasks, and the only way to change a task's state: lock, change, save, publish.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::event::Events;
use super::names::{last_segment, task_arn};
use super::record::{Status, TaskDescription, TaskRecord};
use super::{Options, disk};

/// A scripted outcome of RunTask, for tests of a caller's handling of failed starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunTaskOutcome {
    Start,
    /// 200 with a failure of this reason.
    Failure(&'static str),
    /// The type and the message of an error.
    Exception(&'static str, &'static str),
    /// The task is created but stays PENDING until it is stopped.
    StaysPending,
    /// The task starts, but the connection closes without a response.
    ResponseLost,
}

#[derive(Debug)]
pub(super) struct TaskRegistry {
    pub(super) options: Options,
    pub(super) url: String,
    pub(super) events: Events,
    pub(super) script: Mutex<VecDeque<RunTaskOutcome>>,
    /// The runtime for background work; `Ecs::subscribe` may be called outside of a runtime.
    pub(super) runtime: Handle,
    pub(super) background: TaskTracker,
    pub(super) shutdown: CancellationToken,
    /// Cancelled when the emulator stops but the tasks continue.
    pub(super) detach: CancellationToken,
    /// Locked during a RunTask, so that two calls with the same token, or for the last free place, cannot both start.
    pub(super) tokens: tokio::sync::Mutex<Tokens>,
    /// Whether the last RunTask found too little disk space, which is logged once.
    pub(super) is_disk_low: AtomicBool,
    tasks: Mutex<BTreeMap<String, Arc<Task>>>,
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) folder: PathBuf,
    /// Variables of the child in addition to the inherited ones.
    pub(super) environment: Vec<(String, String)>,
    pub(super) can_start: bool,
    pub(super) stop: CancellationToken,
    /// Locked until a change is saved and published, so that versions arrive in order.
    pub(super) record: tokio::sync::Mutex<TaskRecord>,
}

impl TaskRegistry {
    pub(super) fn new(options: Options, url: String) -> Self {
        Self {
            options,
            url,
            events: Events::default(),
            script: Mutex::default(),
            runtime: Handle::current(),
            background: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            detach: CancellationToken::new(),
            tokens: tokio::sync::Mutex::default(),
            is_disk_low: AtomicBool::default(),
            tasks: Mutex::default(),
        }
    }

    pub(super) fn insert(&self, task: Arc<Task>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(task.id.clone(), task);
    }

    pub(super) fn remove(&self, id: &str) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    pub(super) fn find(&self, cluster: &str, id_or_arn: &str) -> Option<Arc<Task>> {
        let task = self.by_id(last_segment(id_or_arn))?;
        let is_named = id_or_arn == task.id || id_or_arn == task_arn(cluster, &task.id);
        (task.cluster == cluster && is_named).then_some(task)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(super) fn list(&self) -> Vec<Arc<Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) async fn count_running(&self) -> usize {
        let mut count = 0;
        for task in self.list() {
            count += usize::from(task.record.lock().await.task.last_status != Status::Stopped);
        }
        count
    }
}

impl Task {
    pub(super) async fn describe(&self) -> TaskDescription {
        self.record.lock().await.task.clone()
    }

    /// Writes: `task.json`. A failed write is logged and the task continues, because its child already runs.
    pub(super) async fn update(&self, events: &Events, change: impl FnOnce(&mut TaskRecord)) -> TaskDescription {
        let mut record = self.record.lock().await;
        self.update_locked(&mut record, events, change).await
    }

    pub(super) async fn update_locked(
        &self,
        record: &mut TaskRecord,
        events: &Events,
        change: impl FnOnce(&mut TaskRecord),
    ) -> TaskDescription {
        change(record);
        record.task.version += 1;
        self.save(record).await;
        self.publish(record, events).await;
        record.task.clone()
    }

    pub(super) async fn publish_end(&self, events: &Events) {
        let mut record = self.record.lock().await;
        if record.task.last_status == Status::Stopped && !record.announced {
            self.publish(&mut record, events).await;
        }
    }

    async fn publish(&self, record: &mut TaskRecord, events: &Events) {
        let is_published = events.publish(&record.task);
        if is_published && record.task.last_status == Status::Stopped {
            record.announced = true;
            self.save(record).await;
        }
    }

    pub(super) async fn save(&self, record: &TaskRecord) -> bool {
        let folder = self.folder.clone();
        let json = serde_json::to_vec_pretty(record).unwrap_or_default();
        // A sync takes milliseconds; do not block a thread that serves requests.
        let saved = tokio::task::spawn_blocking(move || disk::save_task(&folder, &json)).await;
        match saved {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(task = self.id, %error, "state of an ECS task not written");
                false
            }
            Err(_) => false,
        }
    }
}

/// The request of each client token, kept as long as its task.
pub(super) type Tokens = HashMap<String, TokenUse>;

#[derive(Debug)]
pub(super) struct TokenUse {
    pub(super) request: Value,
    pub(super) task: Arc<Task>,
}
