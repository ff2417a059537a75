//! Tests the functions as separate processes with Lambda's Runtime API: all events over TLS, and a whole job.
//!
//! `PULLYARD_FUNCTIONS` names the deployed program (`.ci/functions`); the default is `pullyard` with the same code.

mod deployed;
mod figures;
pub(crate) mod recorder;
mod tls;

pub(crate) use deployed::{FUNCTION_TIMEOUTS, Functions, Processes};

use crate::functions::{Target, check_all, setup};
use crate::prelude::*;
use crate::webhooks::World;
use nix::sys::signal::kill;
use pullyard_domain::text::self_check::{RoleReport, SELF_CHECK};
use tls::Tls;

fn program() -> Vec<String> {
    match std::env::var("PULLYARD_FUNCTIONS") {
        Ok(deployed) => vec![deployed],
        Err(_) => vec![env!("CARGO_BIN_EXE_pullyard").to_owned(), "function".to_owned()],
    }
}

pub(crate) fn processes(environment: Vec<(String, String)>) -> Functions {
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

fn pids(story: &Story, function: &str) -> Vec<u32> {
    story.function_processes(function).iter().map(|process| process.pid).collect()
}

/// Kills a process and waits for its death; a dying process could still receive an event.
async fn kill_and_wait(pid: u32) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    wait_until("it is dead", async || if is_dead(pid) { Ok(()) } else { Err(pid.to_string()) }).await;
}

fn is_dead(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, after)| after.trim_start().starts_with('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_has_its_expected_result_in_processes_over_tls() {
    let folder = TempDir::new().unwrap();
    let tls = Tls::start(folder.path()).await;
    let functions = processes(tls.environment());
    let world =
        World::with_prepared(Setup { functions, ..setup() }, async |local| tls.connect(local.function_endpoints()))
            .await;
    check_all(&world, &Target::Processes).await;
    let story = world.story;
    for name in ["api", "pages", "tickets", "webhook", "dispatcher", "effects", "tasks", "sweeper"] {
        assert!(!pids(&story, name).is_empty(), "{name} has no process");
    }
    story.shut_down().await;
}

/// Invokes the self-check of each function, which leaves nothing but an empty object.
async fn check_roles(story: &Story) {
    let event: Value = serde_json::from_str(SELF_CHECK).unwrap();
    for function in FUNCTIONS {
        let answer = story.function_runtime(function).invoke(&event).await.answer.unwrap();
        let report: RoleReport = serde_json::from_value(answer).unwrap();
        assert_eq!((report.denied, report.unanswered), (Vec::new(), Vec::new()), "{function}");
        assert!(report.function == function && report.calls > 2, "{function} made {} calls", report.calls);
    }
    story.wait_for_empty_queues().await;
    let secrets = story.api.secrets(None).await.unwrap();
    assert!(!serde_json::to_string(&secrets).unwrap().contains("self-check"), "{secrets:?}");
    assert_eq!(story.api.dead_letters(None).await.unwrap().letters.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_becomes_a_pull_request_through_function_processes() {
    let story = Story::start_with(Setup { functions: processes(Vec::new()), ..Setup::default() }).await;
    let job = story.create_job("event-1", "KEY-1", 1).await;
    let ended = story.wait_for_end(&job).await;
    assert_eq!(ended.status, JobStatus::Completed, "{ended:?}");
    assert_eq!(story.branches().await.len(), 1);
    check_roles(&story).await;
    assert_eq!(warnings(story.folder()), Vec::<String>::new());
    story.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_handler_error_lists_the_known_handlers() {
    let program = program();
    let (first, arguments) = program.split_first().unwrap();
    for (handler, expected) in [(Some("bootstrap"), "no handler \"bootstrap\""), (None, "_HANDLER is not set")] {
        let mut command = Command::new(first);
        command.args(arguments).env_clear().stdin(Stdio::null());
        if let Some(handler) = handler {
            command.env("_HANDLER", handler);
        }
        let output = command.output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(expected) && stderr.contains("webhook") && stderr.contains("sweeper"), "{stderr}");
    }
}
