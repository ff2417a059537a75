//! Tests how Claude Code ends after an interrupt and after signals.

use super::claude;
use crate::left_over::kill_left_over;
use crate::running::Running;
use crate::scene::Scene;
use nix::sys::signal::Signal;
use pullyard_demo_model::{Answer, Step};
use serde_json::json;

const WAITS: &str = "touch started; while :; do sleep 0.1; done";

fn shell(command: &str) -> Answer {
    Answer::tool("Bash", json!({ "command": command, "description": "run" }))
}

async fn with_a_tool_that_runs() -> (Scene, Running) {
    let scene = Scene::new().await;
    scene.model.play([shell(WAITS)]);
    let mut running = Running::start(claude(&scene));
    running.say("Wait.").await;
    scene.appears("started").await;
    (scene, running)
}

async fn while_the_model_thinks() -> (Scene, Running) {
    let scene = Scene::new().await;
    scene.model.keep(Step::Hang);
    let mut running = Running::start(claude(&scene));
    running.say("Think.").await;
    scene.model.wait_for_turns(1).await;
    (scene, running)
}

async fn interrupt(running: &mut Running) {
    let request = json!({ "subtype": "interrupt" });
    running.send(&json!({ "type": "control_request", "request_id": "r1", "request": request })).await;
    running.wait_for("control_response", 1).await;
    running.wait_for("result", 1).await;
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn interrupt_ends_the_tool_and_further_requests() {
    let (scene, mut running) = with_a_tool_that_runs().await;
    interrupt(&mut running).await;
    let ended = running.end().await;
    let result = ended.one("result");
    assert_eq!(ended.one("control_response")["response"]["request_id"], "r1");
    assert_eq!(
        (&result["subtype"], &result["terminal_reason"]),
        (&json!("error_during_execution"), &json!("aborted_tools"))
    );
    assert_eq!(scene.model.turns().len(), 1);
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn interrupt_ends_a_pending_request() {
    let (scene, mut running) = while_the_model_thinks().await;
    interrupt(&mut running).await;
    let ended = running.end().await;
    let result = ended.one("result");
    assert_eq!((&result["subtype"], scene.model.turns().len()), (&json!("error_during_execution"), 1), "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn interrupted_process_accepts_another_message() {
    let (scene, mut running) = with_a_tool_that_runs().await;
    interrupt(&mut running).await;
    scene.model.play([Answer::text("Then not.")]);
    running.say("Never mind.").await;
    running.wait_for("result", 2).await;
    let ended = running.end().await;
    assert_eq!(ended.of("result")[1]["result"], "Then not.");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn sigterm_during_a_request_ends_without_a_result() {
    let (scene, running) = while_the_model_thinks().await;
    running.signal(Signal::SIGTERM);
    let ended = running.end().await;
    assert_eq!((ended.code(), ended.of("result").len()), (143, 0), "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn sigint_during_a_request_exits_with_zero() {
    let (scene, running) = while_the_model_thinks().await;
    running.signal(Signal::SIGINT);
    let ended = running.end().await;
    // The exit code is useless here; if there is a result, it reports a failure.
    let well = ended.of("result").iter().any(|result| result["is_error"] != true);
    assert_eq!((ended.code(), well), (0, false), "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn sigterm_during_a_tool_may_end_in_success() {
    let (scene, running) = with_a_tool_that_runs().await;
    scene.model.keep(Answer::text("All done."));
    running.signal(Signal::SIGTERM);
    let ended = running.end().await;
    // Measured: Claude Code may send another request and succeed, or die by the signal. After a stop its result cannot
    // be trusted.
    let success = ended.code() == 0 && ended.of("result").iter().any(|result| result["subtype"] == "success");
    assert!(success || ended.code() == 143, "{ended:?}");
    // Its tool may still run.
    kill_left_over(scene.dir.path());
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn sigkill_leaves_its_tools_running() {
    let (scene, running) = with_a_tool_that_runs().await;
    running.signal(Signal::SIGKILL);
    let ended = running.end().await;
    assert_eq!((ended.code(), ended.of("result").len()), (137, 0));
    assert!(!scene.left_over().is_empty(), "no tool was left, so SIGKILL now ends them");
    kill_left_over(scene.dir.path());
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn success_may_leave_a_process_running() {
    let scene = Scene::new().await;
    scene.model.play([shell("setsid nohup sleep 600 >/dev/null 2>&1 &"), Answer::text("Done.")]);
    let ended = super::ask(claude(&scene), "Leave something.").await;
    assert_eq!((ended.code(), scene.left_over_of(1).len()), (0, 1), "{ended:?}");
    kill_left_over(scene.dir.path());
}
