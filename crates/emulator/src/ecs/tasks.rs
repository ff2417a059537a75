//! Every task there is, and the one way a task's state changes.
//!
//! Owns the registry and the order lock, disk, memory, event. What changes when is elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::event::Events;
use super::names::{last_segment, task_arn};
use super::record::{Description, Record, Status};
use super::script::Script;
use super::{Options, disk};

/// The tasks and what they share.
#[derive(Debug)]
pub(super) struct Tasks {
    pub(super) options: Options,
    pub(super) url: String,
    pub(super) events: Events,
    pub(super) script: Script,
    /// Where tasks live, also when who asks is outside of it.
    pub(super) runtime: Handle,
    /// Follows each task's life, so that a shutdown can wait for all of them.
    pub(super) lives: TaskTracker,
    /// The parent of every task's `stop`.
    pub(super) closing: CancellationToken,
    /// Cancelled once the tasks are to be left alone, as they are.
    pub(super) abandoned: CancellationToken,
    /// Held over one RunTask: two calls with one token must not both start.
    pub(super) tokens: tokio::sync::Mutex<Tokens>,
    all: Mutex<BTreeMap<String, Arc<Task>>>,
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) family: String,
    pub(super) folder: PathBuf,
    /// What the child gets beside the few inherited variables.
    pub(super) environment: Vec<(String, String)>,
    pub(super) starts: bool,
    /// Cancelled once the task is to stop.
    pub(super) stop: CancellationToken,
    /// Held while a change is written, so that versions reach disk and subscribers in order.
    pub(super) record: tokio::sync::Mutex<Record>,
}

impl Tasks {
    pub(super) fn new(options: Options, url: String) -> Self {
        Self {
            options,
            url,
            events: Events::default(),
            script: Script::default(),
            runtime: Handle::current(),
            lives: TaskTracker::new(),
            closing: CancellationToken::new(),
            abandoned: CancellationToken::new(),
            tokens: tokio::sync::Mutex::default(),
            all: Mutex::default(),
        }
    }

    pub(super) fn insert(&self, task: Arc<Task>) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).insert(task.id.clone(), task);
    }

    pub(super) fn remove(&self, id: &str) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    pub(super) fn find(&self, cluster: &str, id_or_arn: &str) -> Option<Arc<Task>> {
        let task = self.by_id(last_segment(id_or_arn))?;
        let named = id_or_arn == task.id || id_or_arn == task_arn(cluster, &task.id);
        (task.cluster == cluster && named).then_some(task)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Task>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(super) fn list(&self) -> Vec<Arc<Task>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Task {
    pub(super) async fn describe(&self) -> Description {
        self.record.lock().await.task.clone()
    }

    /// Changes the state: a higher version, on disk, then in memory, then told.
    ///
    /// Writes: `task.json`. A disk that refuses is logged and the task lives on in memory,
    /// because a child that runs can't be taken back.
    pub(super) async fn change(&self, events: &Events, change: impl FnOnce(&mut Record)) -> Description {
        let mut record = self.record.lock().await;
        self.change_locked(&mut record, events, change).await
    }

    pub(super) async fn change_locked(
        &self,
        record: &mut Record,
        events: &Events,
        change: impl FnOnce(&mut Record),
    ) -> Description {
        change(record);
        record.task.version += 1;
        self.save(record).await;
        self.tell(record, events).await;
        record.task.clone()
    }

    /// Tells how the task ended, if nobody was there to be told before.
    pub(super) async fn announce(&self, events: &Events) {
        let mut record = self.record.lock().await;
        if record.task.last_status == Status::Stopped && !record.announced {
            self.tell(&mut record, events).await;
        }
    }

    /// Tells the state as it is, and keeps whether anybody was told the end.
    async fn tell(&self, record: &mut Record, events: &Events) {
        let told = events.publish(&record.task);
        if told && record.task.last_status == Status::Stopped {
            record.announced = true;
            self.save(record).await;
        }
    }

    /// Writes the state as it is.
    pub(super) async fn save(&self, record: &Record) -> bool {
        let folder = self.folder.clone();
        let json = serde_json::to_vec_pretty(record).unwrap_or_default();
        // A sync takes milliseconds: not on a thread that serves requests.
        let saved = tokio::task::spawn_blocking(move || disk::save(&folder, &json)).await;
        match saved {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(task = self.id, %error, "the state of an ECS task could not be written");
                false
            }
            Err(_) => false,
        }
    }
}

/// Which call each client token was used for, kept as long as its tasks.
pub(super) type Tokens = HashMap<String, Used>;

/// A call that was answered.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) request: Value,
    pub(super) tasks: Vec<Arc<Task>>,
}

impl Used {
    /// Without a task that is forgotten; false once none is left.
    pub(super) fn lose(&mut self, id: &str) -> bool {
        self.tasks.retain(|task| task.id != id);
        !self.tasks.is_empty()
    }
}
