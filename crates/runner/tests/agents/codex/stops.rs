//! Tests how Codex ends after signals; it has no interrupt message.

use super::codex;
use super::work::shell;
use crate::left_over::kill_left_over;
use crate::running::Running;
use crate::scene::Scene;
use nix::sys::signal::Signal;
use pullyard_demo_model::{Answer, Step};

fn start(scene: &Scene) -> Running {
    let mut run = codex(scene);
    run.args(["--", "Wait."]);
    let mut running = Running::start(run);
    running.close();
    running
}

async fn check(signal: Signal, code: i32) {
    let scene = Scene::new().await;
    scene.model.play([shell("touch started; while :; do sleep 0.1; done")]);
    scene.model.keep(Step::Hang);
    let running = start(&scene);
    scene.appears("started").await;
    running.signal(signal);
    let ended = running.end().await;
    let terminal = ended.of("turn.completed").len() + ended.of("turn.failed").len();
    assert_eq!((ended.code(), terminal), (code, 0), "{ended:?}");
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn signals_end_the_run_without_a_final_event() {
    check(Signal::SIGTERM, 143).await;
    check(Signal::SIGINT, 1).await;
    check(Signal::SIGKILL, 137).await;
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn silent_provider_is_waited_for_until_a_signal() {
    let scene = Scene::new().await;
    scene.model.keep(Step::Hang);
    super::configure(&scene, &scene.model.openai_url());
    let running = start(&scene);
    scene.model.wait_for_turns(1).await;
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().await.code(), 143);
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn sandbox_leaves_no_process_after_success() {
    let scene = Scene::new().await;
    scene.model.play([shell("setsid nohup sleep 600 >/dev/null 2>&1 &"), Answer::text("Done.")]);
    let mut running = start(&scene);
    running.wait_for("turn.completed", 1).await;
    let ended = running.end().await;
    assert_eq!((ended.code(), scene.left_over_of(0)), (0, Vec::new()), "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn without_the_sandbox_a_process_may_survive() {
    let scene = Scene::new().await;
    scene.model.play([shell("setsid nohup sleep 600 >/dev/null 2>&1 &"), Answer::text("Done.")]);
    let mut run = codex(&scene);
    run.args(["-c=sandbox_mode=\"danger-full-access\"", "--", "Leave something."]);
    let ended = scene.run(run).await;
    assert_eq!((ended.code(), scene.left_over_of(1).len()), (0, 1), "{ended:?}");
    kill_left_over(scene.dir.path());
}
