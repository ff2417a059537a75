//! Records the scenarios of Codex: one run per prompt, and the session file.

use super::Recording;
use super::normalize::Normalizer;
use crate::real_agents::agent_process::AgentProcess;
use crate::real_agents::attempts::fixture::CODEX_YIELD_TIME_MS;
use crate::real_agents::codex::{configure, exec_command, resume_command};
use crate::real_agents::fixture::{AgentFixture, ClosedPort};
use nix::sys::signal::Signal;
use pullyard_demo_model::{Answer, Part, Refusal, Step, StreamFault, Usage};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// One model with a known price for every version.
const MODEL: &str = "gpt-6.1-sol";
/// Thread ids of two scenarios; the tests in `src/agent` know them.
const TOOLS_THREAD: &str = "01a1fbad-d7a7-71b0-93ec-bf8d23475498";
const RESUMED_THREAD: &str = "01a1fbae-e707-7122-9065-e350b6dbb161";

pub(super) async fn record() -> Vec<Recording> {
    let mut recordings = Vec::new();
    for (name, step) in faults() {
        recordings.push(record_fault(name, step).await);
    }
    recordings.extend([connection_refused().await, tools_and_edits().await, record_termination().await]);
    recordings.extend(record_resume().await);
    recordings
}

fn faults() -> [(&'static str, Step); 12] {
    let stumbles = |stumble: StreamFault| Step::from(text_answer("x").fail_after(2, stumble));
    [
        ("overloaded", Refusal::openai(529, "server_error", None, "Overloaded").into()),
        ("unavailable", Refusal::openai_server_error(503).into()),
        ("server_error", Refusal::openai_server_error(500).into()),
        ("at_capacity", stumbles(StreamFault::at_capacity())),
        ("rate_limited", Refusal::openai_too_many(1).into()),
        ("rate_limited_in_stream", stumbles(StreamFault::rate_limited())),
        ("quota", stumbles(StreamFault::quota())),
        ("context_too_long", stumbles(StreamFault::context_exceeded())),
        ("wrong_key", Refusal::openai_wrong_key().into()),
        ("no_model", Refusal::openai_no_such_model(MODEL).into()),
        ("reset", Step::Reset),
        ("stream_cut", text_answer("Half of it").disconnect_after(4).into()),
    ]
}

/// One answer with 100 input and 50 output tokens; the tests in `src/agent` expect these numbers.
fn answer(parts: Vec<Part>) -> Answer {
    Answer::from_parts(parts).with_usage(Usage { input: 100, cached: 0, output: 50 })
}

fn text_answer(text: &str) -> Answer {
    answer(vec![Part::Text(text.into())])
}

fn shell(command: &str) -> Part {
    let arguments = json!({ "cmd": command, "yield_time_ms": CODEX_YIELD_TIME_MS });
    Part::Tool { name: "exec_command".into(), arguments }
}

const PATCH: &str = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: b.txt\n+b\n\
     *** Update File: hello.txt\n@@\n-hi\n+hello\n*** End Patch\nEOF\n";

fn with_prompt(mut run: Command, prompt: &[&str]) -> Command {
    run.arg(format!("-c=model=\"{MODEL}\"")).args(prompt);
    run
}

async fn record_prompt(scene: AgentFixture, name: &str, prompt: &str, threads: &[&str]) -> Recording {
    let ended = scene.run(with_prompt(exec_command(&scene), &["--", prompt])).await;
    let recording = Recording::new(name, Normalizer::new(&scene, &[], threads).lines(&ended.lines));
    scene.check_end();
    recording
}

async fn record_fault(name: &str, step: Step) -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.set_repeating_step(step);
    record_prompt(scene, name, "Look.", &[]).await
}

async fn connection_refused() -> Recording {
    let scene = AgentFixture::new().await;
    let nobody = ClosedPort::reserve();
    configure(&scene, &format!("{}/v1", nobody.url));
    let ended = scene.run(with_prompt(exec_command(&scene), &["--", "Look."])).await;
    let lines = Normalizer::new(&scene, &[], &[]).with_server(&nobody.url).lines(&ended.lines);
    scene.check_end();
    Recording::new("connection_refused", lines)
}

async fn tools_and_edits() -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.add_steps([
        answer(vec![Part::Text("I will write it.".into()), shell("echo hi > hello.txt; cat hello.txt")]),
        answer(vec![shell("exit 3")]),
        answer(vec![shell(PATCH)]),
        answer(vec![shell("echo a > a.txt; false")]),
        text_answer("All done."),
    ]);
    record_prompt(scene, "tools_and_edits", "Write a greeting.", &[TOOLS_THREAD]).await
}

async fn record_termination() -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.add_steps([answer(vec![shell("touch started; while :; do sleep 0.1; done")])]);
    scene.model.set_repeating_step(Step::Hang);
    let mut running = AgentProcess::start(with_prompt(exec_command(&scene), &["--", "Wait."]));
    running.close_input();
    scene.wait_for_file("started").await;
    running.wait_for("item.started", 1).await;
    running.signal(Signal::SIGTERM);
    let ended = running.wait_for_exit().await;
    Recording::new("terminated", Normalizer::new(&scene, &[], &[]).lines(&ended.lines))
}

async fn record_resume() -> [Recording; 3] {
    let scene = AgentFixture::new().await;
    scene.model.add_steps([answer(vec![shell("echo a > a")])]);
    scene.model.set_repeating_step(Refusal::openai(503, "server_error", None, "busy"));
    let before = scene.run(with_prompt(exec_command(&scene), &["--", "Look."])).await;
    let thread = before.only_event("thread.started")["thread_id"].as_str().unwrap().to_owned();
    scene.model.add_steps([answer(vec![shell("echo b > b")]), text_answer("went on")]);
    let after = scene.run(with_prompt(resume_command(&scene), &[thread.as_str(), "Go on."])).await;
    let rollout = std::fs::read_to_string(find_rollout(&scene.config().join("sessions")).unwrap()).unwrap();
    let rollout: Vec<String> = rollout.lines().filter_map(reduce_line).collect();
    let mut normal = Normalizer::new(&scene, &[], &[RESUMED_THREAD]);
    let recordings = [("resume_before", before.lines), ("resume_after", after.lines), ("rollout", rollout)]
        .map(|(name, lines)| Recording::new(name, normal.lines(&lines)));
    scene.check_end();
    recordings
}

fn find_rollout(folder: &Path) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_rollout(&path)
        } else {
            path.extension().is_some_and(|is| is == "jsonl").then_some(path)
        }
    })
}

/// Reduces a line to the parts that the runner reads; drops Codex's own instructions.
fn reduce_line(line: &str) -> Option<String> {
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
