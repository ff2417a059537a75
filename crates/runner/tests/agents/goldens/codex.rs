//! Records the scenarios of Codex: one run per prompt, and the session file.

use super::Recording;
use super::normal::Normal;
use crate::attempts::stage::WAITED_FOR_MS;
use crate::codex::{codex, configure, resuming};
use crate::running::Running;
use crate::scene::{Nobody, Scene};
use nix::sys::signal::Signal;
use pullyard_demo_model::{Answer, Part, Refusal, Step, Stumble, Usage};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// One model with a known price for every version.
const MODEL: &str = "gpt-6.1-sol";
/// Thread ids of two scenarios; the tests in `src/agent` know them.
const WITH_TOOLS: &str = "01a1fbad-d7a7-71b0-93ec-bf8d23475498";
const TAKEN_UP: &str = "01a1fbae-e707-7122-9065-e350b6dbb161";

pub(super) async fn record() -> Vec<Recording> {
    let mut recordings = Vec::new();
    for (name, step) in faults() {
        recordings.push(fault(name, step).await);
    }
    recordings.extend([connection_refused().await, tools_and_edits().await, terminated().await]);
    recordings.extend(resumed().await);
    recordings
}

fn faults() -> [(&'static str, Step); 12] {
    let stumbles = |stumble: Stumble| Step::from(words("x").stumbling_after(2, stumble));
    [
        ("overloaded", Refusal::openai(529, "server_error", None, "Overloaded").into()),
        ("unavailable", Refusal::openai_server_error(503).into()),
        ("server_error", Refusal::openai_server_error(500).into()),
        ("at_capacity", stumbles(Stumble::at_capacity())),
        ("rate_limited", Refusal::openai_too_many(1).into()),
        ("rate_limited_in_stream", stumbles(Stumble::too_fast())),
        ("quota", stumbles(Stumble::quota())),
        ("context_too_long", stumbles(Stumble::too_long())),
        ("wrong_key", Refusal::openai_wrong_key().into()),
        ("no_model", Refusal::openai_no_such_model(MODEL).into()),
        ("reset", Step::Reset),
        ("stream_cut", words("Half of it").cut_after(4).into()),
    ]
}

/// One answer with 100 input and 50 output tokens; the tests in `src/agent` expect these numbers.
fn answer(parts: Vec<Part>) -> Answer {
    Answer::of(parts).taking(Usage { input: 100, cached: 0, output: 50 })
}

fn words(words: &str) -> Answer {
    answer(vec![Part::Text(words.into())])
}

fn shell(command: &str) -> Part {
    let arguments = json!({ "cmd": command, "yield_time_ms": WAITED_FOR_MS });
    Part::Tool { name: "exec_command".into(), arguments }
}

const PATCH: &str = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: b.txt\n+b\n\
     *** Update File: hello.txt\n@@\n-hi\n+hello\n*** End Patch\nEOF\n";

fn prompted(mut run: Command, prompt: &[&str]) -> Command {
    run.arg(format!("-c=model=\"{MODEL}\"")).args(prompt);
    run
}

async fn said(scene: Scene, name: &str, prompt: &str, threads: &[&str]) -> Recording {
    let ended = scene.run(prompted(codex(&scene), &["--", prompt])).await;
    let recording = Recording::new(name, Normal::of(&scene, &[], threads).lines(&ended.lines));
    scene.end();
    recording
}

async fn fault(name: &str, step: Step) -> Recording {
    let scene = Scene::new().await;
    scene.model.keep(step);
    said(scene, name, "Look.", &[]).await
}

async fn connection_refused() -> Recording {
    let scene = Scene::new().await;
    let nobody = Nobody::somewhere();
    configure(&scene, &format!("{}/v1", nobody.url));
    let ended = scene.run(prompted(codex(&scene), &["--", "Look."])).await;
    let lines = Normal::of(&scene, &[], &[]).with_server(&nobody.url).lines(&ended.lines);
    scene.end();
    Recording::new("connection_refused", lines)
}

async fn tools_and_edits() -> Recording {
    let scene = Scene::new().await;
    scene.model.play([
        answer(vec![Part::Text("I will write it.".into()), shell("echo hi > hello.txt; cat hello.txt")]),
        answer(vec![shell("exit 3")]),
        answer(vec![shell(PATCH)]),
        answer(vec![shell("echo a > a.txt; false")]),
        words("All done."),
    ]);
    said(scene, "tools_and_edits", "Write a greeting.", &[WITH_TOOLS]).await
}

/// A run ended by a signal during a command, so that no end is reported.
async fn terminated() -> Recording {
    let scene = Scene::new().await;
    scene.model.play([answer(vec![shell("touch started; while :; do sleep 0.1; done")])]);
    scene.model.keep(Step::Hang);
    let mut running = Running::start(prompted(codex(&scene), &["--", "Wait."]));
    running.close();
    scene.appears("started").await;
    running.wait_for("item.started", 1).await;
    running.signal(Signal::SIGTERM);
    let ended = running.end().await;
    Recording::new("terminated", Normal::of(&scene, &[], &[]).lines(&ended.lines))
}

/// A session that an overloaded provider ends, before and after its resume, and its session file.
async fn resumed() -> [Recording; 3] {
    let scene = Scene::new().await;
    scene.model.play([answer(vec![shell("echo a > a")])]);
    scene.model.keep(Refusal::openai(503, "server_error", None, "busy"));
    let before = scene.run(prompted(codex(&scene), &["--", "Look."])).await;
    let thread = before.one("thread.started")["thread_id"].as_str().unwrap().to_owned();
    scene.model.play([answer(vec![shell("echo b > b")]), words("went on")]);
    let after = scene.run(prompted(resuming(&scene), &[thread.as_str(), "Go on."])).await;
    let rollout = std::fs::read_to_string(rollout(&scene.config().join("sessions")).unwrap()).unwrap();
    let rollout: Vec<String> = rollout.lines().filter_map(kept).collect();
    let mut normal = Normal::of(&scene, &[], &[TAKEN_UP]);
    let recordings = [("resume_before", before.lines), ("resume_after", after.lines), ("rollout", rollout)]
        .map(|(name, lines)| Recording::new(name, normal.lines(&lines)));
    scene.end();
    recordings
}

fn rollout(folder: &Path) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { rollout(&path) } else { path.extension().is_some_and(|is| is == "jsonl").then_some(path) }
    })
}

/// Reduces a line to the parts that the runner reads; drops Codex's own instructions.
fn kept(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).unwrap();
    let payload = &event["payload"];
    match event["type"].as_str()? {
        "token_usage_record" => Some(line.to_owned()),
        "turn_context" => {
            let context = json!({ "turn_id": payload["turn_id"], "cwd": payload["cwd"], "model": payload["model"] });
            let fields = ["timestamp", "ordinal", "type"].map(|field| event[field].clone());
            let [timestamp, ordinal, kind] = fields;
            Some(json!({ "timestamp": timestamp, "ordinal": ordinal, "type": kind, "payload": context }).to_string())
        }
        "response_item" => {
            let of_its_model = match payload["type"].as_str()? {
                "function_call" | "function_call_output" => true,
                kind => kind == "message" && payload["role"] == "assistant",
            };
            of_its_model.then(|| line.to_owned())
        }
        _ => None,
    }
}
