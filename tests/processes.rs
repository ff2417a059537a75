//! Tests the functions as separate processes with Lambda's Runtime API: all events over TLS, a whole job, kills.
//!
//! `PULLYARD_FUNCTIONS` names the deployed program (`.ci/functions`); the default is `pullyard` with the same code.

mod deployed;
mod figures;
pub(crate) mod recorder;
mod tls;

pub(crate) use deployed::{FUNCTION_TIMEOUTS, Functions, Processes};

use crate::functions::{Doer, check_all, setup};
use crate::story::{Between, Setup, Story, TRIGGER, Task, until};
use crate::webhooks::World;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pullyard_domain::job::JobStatus;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use tls::Tls;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;

fn program() -> Vec<String> {
    match std::env::var("PULLYARD_FUNCTIONS") {
        Ok(deployed) => vec![deployed],
        Err(_) => vec![env!("CARGO_BIN_EXE_pullyard").to_owned(), "function".to_owned()],
    }
}

fn processes(environment: Vec<(String, String)>) -> Functions {
    Functions::Processes { command: program(), environment }
}

/// Warnings and errors in the logs of the functions; the tests expect none.
fn warnings(folder: &Path) -> Vec<String> {
    let logs = std::fs::read_dir(folder.join("functions")).unwrap();
    let logs = logs.map(|log| std::fs::read_to_string(log.unwrap().path()).unwrap()).collect::<Vec<_>>();
    let loud = |line: &&str| {
        // Other output than JSON did not come from the logger.
        serde_json::from_str::<Value>(line).map_or(true, |line| line["level"] == "WARN" || line["level"] == "ERROR")
    };
    logs.iter().flat_map(|log| log.lines()).filter(loud).map(str::to_owned).collect()
}

/// A proxy before DynamoDB that can be shut: calls in progress break, new calls wait.
#[derive(Clone)]
struct Door {
    url: String,
    open: watch::Sender<bool>,
    behind: Arc<OnceLock<String>>,
}

impl Door {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let door = Self { url, open: watch::Sender::new(true), behind: Arc::default() };
        tokio::spawn(door.clone().serve(listener));
        door
    }

    fn between(&self) -> Between {
        let door = self.clone();
        Between::new(move |behind| {
            door.behind.set(behind.strip_prefix("http://").unwrap().to_owned()).unwrap();
            door.url.clone()
        })
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((mut client, _)) = listener.accept().await {
            let door = self.clone();
            tokio::spawn(async move {
                let mut service = TcpStream::connect(door.behind.get()?).await.ok()?;
                loop {
                    let mut open = door.open.subscribe();
                    open.wait_for(|open| *open).await.ok()?;
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut service) => return Some(()),
                        _ = open.wait_for(|open| !*open) => {}
                    }
                }
            });
        }
    }

    fn shut(&self) {
        self.open.send_replace(false);
    }

    fn opens(&self) {
        self.open.send_replace(true);
    }
}

fn kill_now(pid: u32) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
}

fn pids(story: &Story, function: &str) -> Vec<u32> {
    story.processes_of(function).iter().map(|process| process.pid).collect()
}

/// Kills a process and waits for its death; a dying process could still receive an event.
async fn killed(pid: u32) {
    kill_now(pid);
    until("it is dead", async || if dead(pid) { Ok(()) } else { Err(pid.to_string()) }).await;
}

/// Whether a process is gone or a zombie.
fn dead(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, after)| after.trim_start().starts_with('Z'))
}

/// Waits until a process of a function handles an event; returns its pid.
async fn busy(story: &Story, function: &str) -> u32 {
    until("a process has the event", async || {
        let processes = story.processes_of(function);
        let busy = processes.iter().find(|process| process.is_busy()).map(|process| process.pid);
        busy.ok_or_else(|| format!("{processes:?}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_has_its_expected_result_in_processes_over_tls() {
    let folder = TempDir::new().unwrap();
    let tls = Tls::start(folder.path()).await;
    let functions = processes(tls.environment());
    let world = World::prepared(Setup { functions, ..setup() }, async |local| tls.stands_before(local.called())).await;
    check_all(&world, &Doer::Processes).await;
    let story = world.story;
    for name in ["api", "pages", "tickets", "webhook", "dispatcher", "effects", "tasks", "sweeper"] {
        assert!(!pids(&story, name).is_empty(), "{name} has no process");
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_becomes_a_pull_request_through_function_processes() {
    let story = Story::with(Setup { functions: processes(Vec::new()), ..Setup::default() }).await;
    let job = story.job_for("event-1", "KEY-1", 1).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.status, JobStatus::Completed, "{ended:?}");
    assert_eq!(story.branches().await.len(), 1);
    assert_eq!(warnings(story.folder()), Vec::<String>::new());
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn process_killed_between_events_is_replaced() {
    let story = Story::with(Setup { task: Task::Waiting, functions: processes(Vec::new()), ..Setup::default() }).await;
    story.job_for("event-1", "KEY-1", 1).await;
    let before = pids(&story, "tickets");
    for process in story.processes_of("tickets") {
        process.rests().await;
        killed(process.pid).await;
    }
    // Not through the client, which would retry.
    let event = serde_json::to_vec(&story.event("event-2", "KEY-2", TRIGGER, 2)).unwrap();
    let token = Some(story.local.admin_token());
    let (status, _, body) = story.raw(reqwest::Method::POST, "/v1/tickets/events", token, event).await;
    assert_eq!((status, &body["code"]), (200, &json!("accepted")), "{body}");
    let after = pids(&story, "tickets");
    assert!(after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn process_killed_during_a_request_fails_only_that_request() {
    let door = Door::start().await;
    let before_dynamodb = Some(door.between());
    let functions = processes(Vec::new());
    let story = Story::with(Setup { task: Task::Waiting, before_dynamodb, functions, ..Setup::default() }).await;
    door.shut();
    let event = serde_json::to_vec(&story.event("event-1", "KEY-1", TRIGGER, 1)).unwrap();
    let token = story.local.admin_token().to_owned();
    let tell = || story.raw(reqwest::Method::POST, "/v1/tickets/events", Some(&token), event.clone());
    let ((status, _, body), ()) = tokio::join!(tell(), async {
        kill_now(busy(&story, "tickets").await);
    });
    // HTTP APIs return 500 for a failed function; REST APIs return 502.
    assert_eq!((status, &body), (500, &json!({ "message": "Internal Server Error" })));
    door.opens();
    let (status, _, body) = tell().await;
    assert_eq!((status, &body["code"]), (200, &json!("accepted")), "{body}");
    assert_eq!(story.jobs().await.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_of_a_killed_process_is_delivered_again() {
    let door = Door::start().await;
    let before_dynamodb = Some(door.between());
    let functions = processes(Vec::new());
    let story = Story::with(Setup { task: Task::Waiting, before_dynamodb, functions, ..Setup::default() }).await;
    // A short visibility timeout, so that the message returns within the test's time limit.
    let shorter = json!({ "QueueUrl": story.queue("dispatch").await, "Attributes": { "VisibilityTimeout": "3" } });
    story.local.aws().sqs().call("SetQueueAttributes", &shorter).await.unwrap();
    let job = story.job_for("event-1", "KEY-1", 1).await;
    story.task_of(&job, 1).await;
    story.quiet().await;
    // Only events from here on meet the shut proxy.
    door.shut();
    story.wake(&job).await;
    let killed = busy(&story, "dispatcher").await;
    kill_now(killed);
    door.opens();
    story.quiet().await;
    assert!(!pids(&story, "dispatcher").contains(&killed));
    assert_eq!(story.tasks_of(&job).await.len(), 1, "the repeated wake-up started another task");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_handler_error_lists_the_known_handlers() {
    let program = program();
    let (first, arguments) = program.split_first().unwrap();
    for (handler, words) in [(Some("bootstrap"), "no handler \"bootstrap\""), (None, "_HANDLER is not set")] {
        let mut command = Command::new(first);
        command.args(arguments).env_clear().stdin(Stdio::null());
        if let Some(handler) = handler {
            command.env("_HANDLER", handler);
        }
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words) && said.contains("webhook") && said.contains("sweeper"), "{said}");
    }
}
