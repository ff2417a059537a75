//! Tests the program `pullyard demo`.

mod ai;

use crate::prelude::*;
use std::process::Output;
use tokio::io::{AsyncReadExt, Lines};
use tokio::process::ChildStdout;

/// Time limit, generous for a loaded machine.
const TIME_LIMIT: Duration = Duration::from_secs(300);
const FIRST_LINE: &str =
    "Pullyard demo: tickets become pull requests, on this machine only. No AI is called: the agent is a script.";

fn pullyard(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullyard"));
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_LOG").kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> Output {
    tokio::time::timeout(TIME_LIMIT, pullyard(arguments).output()).await.expect("the program did not end").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

struct RunningDemo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pid: u32,
}

impl RunningDemo {
    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let pid = child.id().unwrap();
        Self { child, lines, pid }
    }

    async fn wait_for_line(&mut self, expected: &str) -> String {
        self.read_until(expected).await.1
    }

    /// The lines before the first one with these words, and that line.
    async fn read_until(&mut self, expected: &str) -> (String, String) {
        let mut seen = String::new();
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(expected) {
                    return line;
                }
                seen += &format!("{line}\n");
            }
            panic!("no line contains {expected:?}:\n{seen}");
        };
        let found = tokio::time::timeout(TIME_LIMIT, found).await;
        let line = found.unwrap_or_else(|_| panic!("{expected:?} was not printed in time"));
        (seen, line)
    }

    async fn send(&self, signal: &str) {
        let status = Command::new("/bin/kill").args([signal, &self.pid.to_string()]).status().await.unwrap();
        assert!(status.success());
    }

    async fn wait_after_signal(mut self, signal: &str) -> (Option<i32>, String) {
        self.send(signal).await;
        let rest = async {
            while self.lines.next_line().await.unwrap().is_some() {}
            let mut stderr = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
            (self.child.wait().await.unwrap().code(), stderr)
        };
        tokio::time::timeout(TIME_LIMIT, rest).await.expect("the demo did not stop")
    }
}

pub(crate) fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|entry| entry.file_name().to_string_lossy() != std::process::id().to_string())
        .filter_map(|entry| {
            let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
            let details = String::from_utf8_lossy(&[read("cmdline"), read("environ")].concat()).replace('\0', " ");
            details.contains(&folder).then_some(details)
        })
        .collect()
}

/// Waits until no such process exists; the kernel may need a moment after a kill.
pub(crate) async fn wait_until_gone(folder: &Path) {
    wait_until("every process is gone", async || {
        let processes = processes_of(folder);
        if processes.is_empty() { Ok(()) } else { Err(processes.join("\n")) }
    })
    .await;
}

fn warnings(folder: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(folder.join("pullyard.log")).unwrap();
    assert!(!log.is_empty(), "the log is empty");
    log.lines()
        .filter(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            ["WARN", "ERROR"].contains(&line["level"].as_str().unwrap())
        })
        .map(str::to_owned)
        .collect()
}

/// Whether a line shows the whole reply to the reviewer.
fn names_the_commit_and_its_agent(line: &str) -> bool {
    let answer = line.split_once("Answered  in the comment's thread, by pullyard-bot: Done in ");
    let commit = answer.and_then(|(_, answer)| answer.strip_suffix(" (agent: command)."));
    commit.is_some_and(|commit| commit.len() == 10 && commit.chars().all(|c| c.is_ascii_hexdigit()))
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_prints_its_steps_stays_and_keeps_its_results() {
    let folder = TempDir::new().unwrap();
    let demo_folder = folder.path().join("demo");
    let config = folder.path().join("config");
    let mut command = pullyard(&["demo", "--stay", "--keep", demo_folder.to_str().unwrap()]);
    command.env("XDG_CONFIG_HOME", &config);
    let mut demo = RunningDemo::of(command);
    assert_eq!(demo.lines.next_line().await.unwrap().as_deref(), Some(FIRST_LINE));
    let (stdout, last) = demo.read_until("No call of an AI was seen.").await;
    assert!(last.starts_with("Done in ") && last.ends_with(" No call of an AI was seen."), "{last}");
    assert!(last.contains("3 tickets, 6 jobs, 3 pull requests, 1 revised, 1 reviewed"), "{last}");
    assert!(!stdout.contains('\u{1b}'), "escape sequences in a pipe");
    for expected in [
        "DEMO-1",
        "DEMO-2",
        "DEMO-3",
        "marked \"AI Failed\"",
        "Bonsoir, and welcome to the shop.",
        "Posted 1 finding inline. Worst: low.",
        "at its line, by pullyard-bot: **low, docs:** The town is missing",
        "are waiting; one job for all of them",
        "is merged",
    ] {
        assert!(stdout.contains(expected), "{expected}: {stdout}");
    }
    assert!(stdout.lines().any(names_the_commit_and_its_agent), "{stdout}");

    let stays = demo.wait_for_line("Still running until Ctrl-C").await;
    let api = stays.rsplit("API ").next().unwrap();
    let version = reqwest::get(format!("{api}/version")).await.unwrap();
    assert_eq!(version.status(), 200, "{api}");
    let board = demo.wait_for_line("&to=/board").await;
    let link = board.split_whitespace().find(|word| word.starts_with("http")).unwrap();
    let page = reqwest::get(link).await.unwrap().text().await.unwrap();
    assert!(page.contains(r#"name="code""#) && page.contains(r#"value="/board""#), "{page}");
    let commands = demo.wait_for_line("pullyard --context demo open;").await;
    assert!(!commands.contains("pat_"), "{commands}");
    let jobs = pullyard(&["--context", "demo", "jobs"]).env("XDG_CONFIG_HOME", &config).output().await.unwrap();
    assert_eq!(text(&jobs.stdout).lines().count(), 6, "{jobs:?}");
    let (code, complaints) = demo.wait_after_signal("-INT").await;
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    let contexts = std::fs::read_to_string(config.join("pullyard/config.toml")).unwrap();
    assert!(!contexts.contains("demo"), "the context of an ended demo stays: {contexts}");
    assert!(reqwest::get(format!("{api}/version")).await.is_err(), "the API still answers");

    let summary: Value = serde_json::from_slice(&std::fs::read(demo_folder.join("demo.json")).unwrap()).unwrap();
    assert_eq!((&summary["ok"], &summary["ai_called"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!(summary["tickets"].as_array().unwrap().len(), 3);
    let clone = folder.path().join("clone");
    let from = demo_folder.join("forge/acme/shop.git");
    let git = async |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        text(&output.stdout).trim().to_owned()
    };
    git(&["clone", "--quiet", from.to_str().unwrap(), clone.to_str().unwrap()]).await;
    for ticket in summary["tickets"].as_array().unwrap() {
        let branch = format!("origin/{}", ticket["branch"].as_str().unwrap());
        let head = git(&["-C", clone.to_str().unwrap(), "rev-parse", &branch]).await;
        assert_eq!(ticket["head"].as_str(), Some(head.as_str()));
    }
    let tasks = std::fs::read_dir(demo_folder.join("ecs/tasks")).unwrap().flatten().collect::<Vec<_>>();
    assert_eq!(tasks.len(), 6, "expected one task per job");
    for task in tasks {
        assert!(task.path().join("stderr.log").metadata().unwrap().len() > 0, "{}", task.path().display());
    }
    assert_eq!(warnings(&demo_folder), Vec::<String>::new());
    assert_eq!(processes_of(&demo_folder), Vec::<String>::new());

    let again = run(&["demo", "--keep", demo_folder.to_str().unwrap()]).await;
    let complaints = text(&again.stderr);
    assert_eq!(again.status.code(), Some(1), "{complaints}");
    assert!(complaints.starts_with("error: ") && complaints.contains("is not empty"), "{complaints}");
    assert!(complaints.lines().last().unwrap().starts_with("help: "), "{complaints}");
    let unchanged: Value = serde_json::from_slice(&std::fs::read(demo_folder.join("demo.json")).unwrap()).unwrap();
    assert_eq!(unchanged, summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_whose_agent_is_missing_calls_no_ai() {
    let folder = TempDir::new().unwrap();
    let demo_folder = folder.path().join("demo");
    let mut demo = pullyard(&["demo", "--agent", "claude_code", "--keep", demo_folder.to_str().unwrap()]);
    let output = tokio::time::timeout(TIME_LIMIT, demo.env("PULLYARD_CLAUDE_CODE", "/absent").output()).await;
    let output = output.expect("the program did not end").unwrap();
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(stdout.lines().last().unwrap().ends_with("No call of an AI was seen."), "{stdout}");
    let summary: Value = serde_json::from_slice(&std::fs::read(demo_folder.join("demo.json")).unwrap()).unwrap();
    assert_eq!((&summary["ok"], &summary["ai_called"]), (&Value::Bool(false), &Value::Bool(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_that_stays_prints_its_access_as_json() {
    let folder = TempDir::new().unwrap();
    let mut command = pullyard(&["demo", "--json", "--stay"]);
    command.env("XDG_CONFIG_HOME", folder.path());
    let mut demo = RunningDemo::of(command);
    let mut document = String::new();
    while serde_json::from_str::<Value>(&document).is_err() {
        let (lines, end) = demo.read_until("}").await;
        document += &(lines + &end);
    }
    let summary: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((&summary["ok"], &summary["context"]), (&Value::Bool(true), &Value::from("demo")));
    let page = reqwest::get(summary["board"].as_str().unwrap()).await.unwrap().text().await.unwrap();
    assert!(page.contains(r#"name="code""#), "{page}");
    let (code, complaints) = demo.wait_after_signal("-INT").await;
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_with_json_prints_one_document() {
    let output = run(&["demo", "--json"]).await;
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["ok"], &summary["ai_called"]), (&Value::Bool(true), &Value::Bool(false)));
    let tickets = summary["tickets"].as_array().unwrap();
    assert_eq!(tickets.iter().map(|ticket| &ticket["key"]).collect::<Vec<_>>(), ["DEMO-1", "DEMO-2", "DEMO-3"]);
    for ticket in tickets {
        assert_eq!(ticket["status"], "In Review");
        assert_eq!(ticket["head"].as_str().unwrap().len(), 40);
        assert!(ticket["pull_request"].as_str().unwrap().contains("/acme/shop/pull"), "{ticket}");
    }
    assert!(summary["steps"].as_array().unwrap().len() > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_demo_leaves_no_process() {
    let folder = TempDir::new().unwrap();
    let demo_folder = folder.path().join("demo");
    let mut demo = RunningDemo::of(pullyard(&["demo", "--keep", demo_folder.to_str().unwrap()]));
    demo.wait_for_line("Executing").await;
    demo.wait_for_line("says").await;
    assert!(processes_of(&demo_folder).len() > 1, "the demo or its task was not found");
    let (code, complaints) = demo.wait_after_signal("-TERM").await;
    assert_eq!(code, Some(130), "{complaints}");
    assert!(complaints.starts_with("interrupted: ") && complaints.lines().count() == 1, "{complaints}");
    wait_until_gone(&demo_folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_demo_leaves_no_process_and_no_temporary_folder() {
    let folder = TempDir::new().unwrap();
    let mut command = pullyard(&["demo"]);
    command.env("TMPDIR", folder.path());
    let mut demo = RunningDemo::of(command);
    demo.wait_for_line("Executing").await;
    demo.wait_for_line("says").await;
    assert!(processes_of(folder.path()).len() > 1, "the demo or its task was not found");
    let (code, complaints) = demo.wait_after_signal("-KILL").await;
    assert_eq!((code, complaints.as_str()), (None, ""));
    wait_until_gone(folder.path()).await;
    let mut names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.any(|name| name.to_string_lossy().starts_with("pullyard-demo-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_interrupted_at_its_start_leaves_no_folder() {
    let folder = TempDir::new().unwrap();
    let mut command = pullyard(&["demo"]);
    command.env("TMPDIR", folder.path());
    let mut demo = RunningDemo::of(command);
    demo.wait_for_line("Starting").await;
    let (code, complaints) = demo.wait_after_signal("-INT").await;
    assert_eq!(code, Some(130), "{complaints}");
    let entries: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(entries.is_empty(), "{entries:?}");
}
