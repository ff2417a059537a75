//! ECS on a loopback port: a task is a child process with its own process group, logs and state file.
//!
//! Owns the service handle and its options. One cluster is as good as another: a task belongs to
//! the cluster it was started on and is found only there. Task definitions are given at the start
//! and have one revision. Tasks outlive a crash of the host: the next start on the folder takes them up.
//! Services, task sets and capacity are deliberately not here.

mod adopt;
mod describe;
mod disk;
mod event;
mod failure;
mod forget;
mod lifecycle;
mod metadata;
mod names;
mod process;
mod protocol;
mod record;
mod run;
mod script;
mod stop;
mod tasks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

pub use script::Outcome;

use crate::Error;
use crate::server::{self, Server};
use tasks::Tasks;

#[derive(Clone, Debug)]
pub struct Options {
    /// Each task gets a folder `tasks/<task id>` in here.
    pub dir: PathBuf,
    pub definitions: Vec<TaskDefinition>,
    /// How long a task stays in each of PROVISIONING and PENDING.
    pub transition: Duration,
    /// How long a stopped task has between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    /// How long a stopped task is remembered, with what it printed.
    pub forget_after: Duration,
}

impl Options {
    /// Short transitions, three seconds to stop, a day to be remembered.
    #[must_use]
    pub fn new(dir: PathBuf, definitions: Vec<TaskDefinition>) -> Self {
        Self {
            dir,
            definitions,
            transition: Duration::from_millis(20),
            stop_timeout: Duration::from_secs(3),
            forget_after: Duration::from_secs(24 * 3_600),
        }
    }
}

/// A task definition with one container, revision 1.
#[derive(Clone, Debug)]
pub struct TaskDefinition {
    /// The family, as RunTask names it.
    pub family: String,
    /// The container, as overrides name it.
    pub container: String,
    /// The program and its arguments; a container override's `command` replaces all of it.
    pub command: Vec<String>,
    pub environment: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct Ecs {
    url: String,
    tasks: Arc<Tasks>,
    server: Server,
}

impl Ecs {
    /// Takes up the tasks in its folder, then serves the definitions on a loopback port.
    ///
    /// # Errors
    /// The folder of the tasks can't be made or read, or no port can be bound.
    pub async fn start(options: Options) -> Result<Self, Error> {
        Self::start_on(options, None).await
    }

    pub(crate) async fn start_on(options: Options, port: Option<u16>) -> Result<Self, Error> {
        let folder = options.dir.join("tasks");
        let unusable = |source| Error::Folder { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(unusable)?;
        let (listener, address) = server::bind("ECS", port).await?;
        let url = format!("http://{address}");
        let tasks = Arc::new(Tasks::new(options, url.clone()));
        adopt::everything(&tasks, &folder).await.map_err(unusable)?;
        tasks.lives.spawn(forget::now_and_then(Arc::clone(&tasks)));
        let router = Router::new()
            .route("/", post(protocol::answer))
            .route("/v4/{task}", get(metadata::container))
            .route("/v4/{task}/task", get(metadata::task))
            .with_state(Arc::clone(&tasks));
        Ok(Self { url, tasks, server: Server::router(listener, router) })
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Subscribes to the state changes from now on, as whole EventBridge envelopes.
    ///
    /// Ends that nobody was told, in this life or an earlier one, are told again, to all subscribers:
    /// delivery is at least once.
    #[must_use]
    pub fn events(&self) -> UnboundedReceiver<Value> {
        let receiver = self.tasks.events.subscribe();
        let tasks = Arc::clone(&self.tasks);
        let announce = async move {
            for task in tasks.list() {
                task.announce(&tasks.events).await;
            }
        };
        self.tasks.lives.spawn_on(announce, &self.tasks.runtime);
        receiver
    }

    /// Decides the next RunTask calls, one outcome each, after those already waiting.
    pub fn script(&self, outcomes: Vec<Outcome>) {
        self.tasks.script.extend(outcomes);
    }

    /// From now on state changes are lost on their way, or no longer.
    pub fn lose_events(&self, lost: bool) {
        self.tasks.events.lose(lost);
    }

    /// How many tasks have not stopped.
    pub async fn running(&self) -> usize {
        let mut running = 0;
        for task in self.tasks.list() {
            running += usize::from(task.record.lock().await.task.last_status != record::Status::Stopped);
        }
        running
    }

    /// Stops every task as StopTask would, waits for their ends, then closes the port.
    pub async fn shutdown(mut self) {
        stop::everything(&self.tasks).await;
        self.server.stop().await;
    }

    /// Closes the port and leaves every task as it is, as a crash of the host would.
    pub async fn abandon(mut self) {
        self.server.stop().await;
        stop::following(&self.tasks).await;
    }
}

impl Drop for Ecs {
    /// Without a shutdown the tasks still end, only nobody waits for it.
    fn drop(&mut self) {
        self.tasks.closing.cancel();
    }
}
