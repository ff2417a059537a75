//! Records the scenarios of Claude Code.

use super::Recording;
use super::normalize::Normalizer;
use crate::real_agents::agent_process::AgentProcess;
use crate::real_agents::claude_code::{
    BASE_ARGUMENTS, QUIET_SETTINGS, SESSION, base_command, run_prompt, runner_command,
};
use crate::real_agents::fixture::{AgentFixture, ClosedPort};
use pullyard_demo_model::{Answer, Part, Refusal, Step, Usage};
use serde_json::{Value, json};
use tokio::process::Command;

/// Session ids of the scenarios with tools and with a resume; the tests in `src/agent` know them.
const TOOLS_SESSION: &str = "fdb0ce43-b309-486d-a9f2-6b73d8934b64";
const RESUMED_SESSION: &str = "11111111-1111-4111-8111-111111111111";
const UNKNOWN_SESSION: &str = "33333333-1111-4111-8111-111111111111";
/// One model with known prices for every version, because each version has another default.
const MODEL: &str = "--model=claude-opus-4-8[1m]";

pub(super) async fn record() -> Vec<Recording> {
    let mut recordings = Vec::new();
    for (name, step) in faults() {
        recordings.push(record_fault(name, step).await);
    }
    recordings.extend([no_answer().await, no_key().await, no_model().await, connection_refused().await]);
    recordings.extend([
        stream_cut().await,
        tools_and_edits().await,
        record_denied_tool().await,
        turns().await,
        budget().await,
    ]);
    recordings.extend(record_resume().await);
    recordings.extend([session_unknown().await, interrupted_in_tool().await]);
    recordings.extend([interrupted_waiting().await, interrupted_in_stream().await]);
    recordings
}

fn faults() -> [(&'static str, Step); 8] {
    let used_up =
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.";
    let used_up = Refusal::anthropic(429, "rate_limit_error", used_up).with_header("retry-after", "900000");
    [
        ("overloaded", Refusal::overloaded().into()),
        ("server_error", Refusal::internal().into()),
        ("rate_limited", Refusal::too_many(1).into()),
        ("usage_limit", used_up.into()),
        ("wrong_key", Refusal::wrong_key().into()),
        ("no_credit", Refusal::no_credit().into()),
        ("prompt_too_long", Refusal::prompt_too_long().into()),
        ("reset", Step::Reset),
    ]
}

/// Claude Code as the runner starts it, in a new session with this id.
fn new_session_command(scene: &AgentFixture, session: &str) -> Command {
    let mut run = runner_command(scene);
    run.arg(MODEL).arg(format!("--session-id={session}"));
    run
}

fn normalizer(scene: &AgentFixture) -> Normalizer {
    Normalizer::new(scene, &[SESSION, TOOLS_SESSION, RESUMED_SESSION, UNKNOWN_SESSION], &[])
}

async fn record_prompt(scene: AgentFixture, name: &str, run: Command, prompt: &str) -> Recording {
    let ended = run_prompt(run, prompt).await;
    let recording = Recording::new(name, normalizer(&scene).lines(&ended.lines));
    scene.check_end();
    recording
}

fn shell(command: &str) -> Part {
    tool("Bash", json!({ "command": command, "description": "run" }))
}

fn tool(name: &str, arguments: Value) -> Part {
    Part::Tool { name: name.into(), arguments }
}

/// One answer with 100 input and 50 output tokens; the tests in `src/agent` expect these numbers.
fn answer(parts: Vec<Part>) -> Answer {
    Answer::from_parts(parts).with_usage(Usage { input: 100, cached: 0, output: 50 })
}

fn text_answer(text: &str) -> Answer {
    answer(vec![Part::Text(text.into())])
}

async fn record_fault(name: &str, step: Step) -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.set_repeating_step(step);
    let run = new_session_command(&scene, SESSION);
    record_prompt(scene, name, run, "Look.").await
}

async fn no_answer() -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.set_repeating_step(Step::Hang);
    let mut run = new_session_command(&scene, SESSION);
    run.env("API_TIMEOUT_MS", "1500").env("CLAUDE_CODE_MAX_RETRIES", "0");
    record_prompt(scene, "no_answer", run, "Look.").await
}

async fn no_key() -> Recording {
    let scene = AgentFixture::new().await;
    let mut run = new_session_command(&scene, SESSION);
    run.env_remove("ANTHROPIC_API_KEY");
    record_prompt(scene, "no_key", run, "Look.").await
}

async fn no_model() -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.set_repeating_step(Refusal::no_such_model("no-such"));
    let mut run = runner_command(&scene);
    run.arg("--model=no-such").arg(format!("--session-id={SESSION}"));
    record_prompt(scene, "no_model", run, "Look.").await
}

async fn connection_refused() -> Recording {
    let scene = AgentFixture::new().await;
    let nobody = ClosedPort::reserve();
    let mut run = new_session_command(&scene, SESSION);
    run.env("ANTHROPIC_BASE_URL", &nobody.url);
    let ended = run_prompt(run, "Look.").await;
    let lines = normalizer(&scene).with_server(&nobody.url).lines(&ended.lines);
    scene.check_end();
    Recording::new("connection_refused", lines)
}

async fn stream_cut() -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.add_steps([text_answer("Half of it").disconnect_after(4), text_answer("All of it.")]);
    let run = new_session_command(&scene, SESSION);
    record_prompt(scene, "stream_cut", run, "Look.").await
}

async fn tools_and_edits() -> Recording {
    let scene = AgentFixture::new().await;
    // Relative paths, because partial messages split an absolute path into pieces that cannot be normalized.
    let write = tool("Write", json!({ "file_path": "hello.txt", "content": "hi\n" }));
    let fails = tool("Bash", json!({ "command": "echo one; echo two >&2; exit 3", "description": "say" }));
    let read = tool("Read", json!({ "file_path": "hello.txt" }));
    let edit = json!({ "file_path": "hello.txt", "old_string": "hi", "new_string": "hello" });
    scene.model.add_steps([
        answer(vec![Part::Text("I will write it.".into()), write]),
        answer(vec![fails, read]),
        answer(vec![tool("Edit", edit)]),
        text_answer("All done."),
    ]);
    let mut run = new_session_command(&scene, TOOLS_SESSION);
    run.arg("--include-partial-messages");
    record_prompt(scene, "tools_and_edits", run, "Write a greeting.").await
}

async fn record_denied_tool() -> Recording {
    let scene = AgentFixture::new().await;
    scene.write("do.sh", "echo done > done.txt");
    scene.model.add_steps([answer(vec![shell("sh do.sh")]), text_answer("Could not.")]);
    let mut run = base_command(&scene);
    run.args(BASE_ARGUMENTS.iter().filter(|flag| !flag.starts_with("--allowedTools"))).arg("--allowedTools=Read");
    run.arg(MODEL).arg(format!("--session-id={SESSION}")).envs(QUIET_SETTINGS.map(|name| (name, "1")));
    record_prompt(scene, "denied", run, "Do it.").await
}

async fn turns() -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.set_repeating_step(answer(vec![shell("true")]));
    let mut run = new_session_command(&scene, SESSION);
    run.arg("--max-turns=2");
    record_prompt(scene, "turns", run, "Go on for ever.").await
}

async fn budget() -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.set_repeating_step(Answer::from_parts(vec![shell("true")]).with_usage(Usage {
        input: 100_000,
        cached: 0,
        output: 50,
    }));
    let mut run = new_session_command(&scene, SESSION);
    run.arg("--max-budget-usd=0.6");
    record_prompt(scene, "budget", run, "Go on for ever.").await
}

/// A session that an overloaded provider ends, before and after its resume.
async fn record_resume() -> [Recording; 2] {
    let scene = AgentFixture::new().await;
    scene.model.add_steps([answer(vec![shell("true")])]);
    scene.model.set_repeating_step(Refusal::overloaded());
    let before = run_prompt(new_session_command(&scene, RESUMED_SESSION), "Look.").await;
    scene.model.add_steps([text_answer("went on")]);
    let mut run = runner_command(&scene);
    run.arg(MODEL).arg(format!("--resume={RESUMED_SESSION}"));
    let after = run_prompt(run, "Go on.").await;
    let recordings = [("resume_before", before), ("resume_after", after)]
        .map(|(name, ended)| Recording::new(name, normalizer(&scene).lines(&ended.lines)));
    scene.check_end();
    recordings
}

async fn session_unknown() -> Recording {
    let scene = AgentFixture::new().await;
    let mut run = runner_command(&scene);
    run.arg(MODEL).arg(format!("--resume={UNKNOWN_SESSION}"));
    record_prompt(scene, "session_unknown", run, "Look.").await
}

async fn record_interrupt(scene: AgentFixture, name: &str, mut running: AgentProcess) -> Recording {
    let request = json!({ "subtype": "interrupt" });
    running.send(&json!({ "type": "control_request", "request_id": "r1", "request": request })).await;
    running.wait_for("result", 1).await;
    let ended = running.wait_for_exit().await;
    let recording = Recording::new(name, normalizer(&scene).lines(&ended.lines));
    scene.check_end();
    recording
}

async fn interrupted_in_tool() -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.add_steps([answer(vec![shell("touch started; while :; do sleep 0.1; done")])]);
    let mut running = AgentProcess::start(new_session_command(&scene, SESSION));
    running.send_user_message("Wait.").await;
    scene.wait_for_file("started").await;
    record_interrupt(scene, "interrupted_in_tool", running).await
}

async fn interrupted_waiting() -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.set_repeating_step(Step::Hang);
    let mut running = AgentProcess::start(new_session_command(&scene, SESSION));
    running.send_user_message("Wait.").await;
    scene.model.wait_for_turns(1).await;
    record_interrupt(scene, "interrupted_waiting", running).await
}

async fn interrupted_in_stream() -> Recording {
    let scene = AgentFixture::new().await;
    scene.model.set_repeating_step(text_answer("half").hang_after(6));
    let mut run = new_session_command(&scene, SESSION);
    run.arg("--include-partial-messages");
    let mut running = AgentProcess::start(run);
    running.send_user_message("Wait.").await;
    let stopped = |event: &Value| event["event"]["type"] == "content_block_stop";
    running.wait_until("its words did not come", |events| events.iter().any(stopped)).await;
    record_interrupt(scene, "interrupted_in_stream", running).await
}
