//! ECS on a loopback port: a task is a child process with its own process group, logs and state file.
//! A task belongs to the cluster that started it; clusters need no creation. Task definitions are fixed at startup and
//! have one revision. The next start on the folder adopts the tasks of a crashed host. There are no services.

mod adopt;
mod describe;
mod disk;
mod event;
mod failure;
mod lifecycle;
mod names;
mod process;
mod process_tree;
mod protocol;
mod record;
mod retention;
mod run;
mod stop;
mod tasks;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

pub use tasks::RunTaskOutcome;

use crate::Error;
use crate::access::Access;
use crate::server::{self, Server};
use tasks::TaskRegistry;

#[derive(Clone, Debug)]
pub struct Options {
    /// Parent of the folders `tasks/<task id>`.
    pub data_dir: PathBuf,
    pub definitions: Vec<TaskDefinition>,
    /// Time that a task spends in each of PROVISIONING and PENDING.
    pub transition_delay: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    pub retention: Duration,
    /// Tasks at once; RunTask refuses further ones for want of memory.
    pub max_tasks: Option<usize>,
    /// RunTask refuses every task while this check finds a lack.
    pub disk_check: Option<DiskCheck>,
}

#[derive(Clone, Debug)]
pub struct DiskCheck {
    pub folder: PathBuf,
    /// Returns the missing space or inodes of the folder's disk.
    pub find_low_space: fn(&Path) -> Option<String>,
}

impl Options {
    #[must_use]
    pub fn new(dir: PathBuf, definitions: Vec<TaskDefinition>) -> Self {
        Self {
            data_dir: dir,
            definitions,
            transition_delay: Duration::from_millis(20),
            stop_timeout: Duration::from_secs(3),
            retention: Duration::from_secs(24 * 3_600),
            max_tasks: None,
            disk_check: None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct TaskDefinition {
    pub family: String,
    pub container: String,
    /// The program and its arguments. A container override's `command` is ignored: callers start no other program.
    pub command: Vec<String>,
    pub environment: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct Ecs {
    pub(crate) url: String,
    tasks: Arc<TaskRegistry>,
    server: Server,
    pub(crate) router: Router,
}

impl Ecs {
    /// Errors: the task folder cannot be created or read, or no port can be bound.
    pub(crate) async fn start(options: Options, access: &Access, port: Option<u16>) -> Result<Self, Error> {
        let folder = options.data_dir.join("tasks");
        let unusable = |source| Error::Folder { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(unusable)?;
        let (listener, address) = server::bind("ECS", port).await?;
        let url = format!("http://{address}");
        let tasks = Arc::new(TaskRegistry::new(options, url.clone()));
        adopt::adopt_tasks(&tasks, &folder).await.map_err(unusable)?;
        tasks.background.spawn(retention::run_sweeper(Arc::clone(&tasks)));
        let router = Router::new()
            .route("/", post(protocol::handle))
            .route("/v4/{task}/task", get(describe::get_metadata))
            .with_state(Arc::clone(&tasks));
        let router = access.protect(router);
        Ok(Self { url, tasks, server: Server::serve_router(listener, router.clone()), router })
    }

    /// Subscribes to future state changes, as complete EventBridge envelopes.
    /// Unannounced ends, also of an earlier process, are sent again to all subscribers: delivery is at least once.
    #[must_use]
    pub fn subscribe(&self) -> UnboundedReceiver<Value> {
        let receiver = self.tasks.events.subscribe();
        let tasks = Arc::clone(&self.tasks);
        let announce = async move {
            for task in tasks.list() {
                task.publish_end(&tasks.events).await;
            }
        };
        self.tasks.background.spawn_on(announce, &self.tasks.runtime);
        receiver
    }

    /// Queues outcomes for the next RunTask calls, one per call.
    pub fn queue_outcomes(&self, outcomes: Vec<RunTaskOutcome>) {
        self.tasks.script.lock().unwrap_or_else(PoisonError::into_inner).extend(outcomes);
    }

    pub fn set_drop_events(&self, lost: bool) {
        self.tasks.events.set_drop_events(lost);
    }

    pub async fn count_running(&self) -> usize {
        self.tasks.count_running().await
    }

    /// Stops every task like StopTask, waits for their ends, then closes the port.
    pub async fn shutdown(mut self) {
        stop::stop_all(&self.tasks).await;
        self.server.stop().await;
    }

    /// Closes the port and leaves every task running, as a crash of the host would.
    pub async fn detach(mut self) {
        self.server.stop().await;
        stop::detach_all(&self.tasks).await;
    }
}

impl Drop for Ecs {
    /// Also stops the tasks without `shutdown`, but does not wait for their ends.
    fn drop(&mut self) {
        self.tasks.shutdown.cancel();
    }
}
