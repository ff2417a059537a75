//! Tests cancels, signals and kills of the runner against the independent server.

use super::{Independent, always, both, shell, silent, turn, words};
use crate::attempts::stage::{Agent, BOTH, Stage};
use crate::running::{PATIENCE, is_written};
use crate::world::{BRANCH, end_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_protocol::attempt::FinishOutcome;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

async fn with_a_tool_that_runs(agent: Agent) -> (Stage, Independent, Child) {
    let stage = Stage::of(agent).await;
    let endless = shell(agent, "echo hello > dirty.txt; while :; do sleep 0.1; done");
    let fixtures = [turn(0, endless), silent(turn(1, words("Too late.")))];
    let other = Independent::with(&stage, &fixtures).await;
    let runner = other.start(&stage);
    is_written(&stage.tree().join("dirty.txt")).await;
    (stage, other, runner)
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn cancel_during_a_tool_stops_model_requests() {
    for agent in BOTH {
        let (stage, other, runner) = with_a_tool_that_runs(agent).await;
        stage.world.api.script(|script| script.cancel = true);
        assert_eq!(end_of(runner).await.code, Some(0), "{agent:?}");
        assert_eq!(stage.world.api.finish().outcome, FinishOutcome::Cancelled, "{agent:?}");
        assert_eq!((stage.world.head(BRANCH), other.asked().await), (None, 1), "{agent:?}");
        other.end(stage).await;
    }
}

async fn while_the_model_thinks(agent: Agent) -> (Stage, Independent, Child) {
    let stage = Stage::of(agent).await;
    let other = Independent::with(&stage, &[silent(always(words("Too late.")))]).await;
    let runner = other.start(&stage);
    other.wait_for(1).await;
    (stage, other, runner)
}

/// Starts an attempt that cannot get its credentials.
async fn while_it_prepares(agent: Agent) -> (Stage, Independent, Child) {
    let stage = Stage::of(agent).await;
    stage.world.api.script(|script| {
        script.lose.insert("credentials", u32::MAX);
    });
    let other = Independent::with(&stage, &[always(words("Too early."))]).await;
    let runner = other.start(&stage);
    stage.world.api.wait_for(|calls| calls.iter().any(|call| call.route == "credentials")).await;
    (stage, other, runner)
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn cancel_ends_a_pending_model_request() {
    both(|agent| async move {
        let (stage, other, runner) = while_the_model_thinks(agent).await;
        stage.world.api.script(|script| script.cancel = true);
        assert_eq!(end_of(runner).await.code, Some(0), "{agent:?}");
        assert_eq!(stage.world.api.finish().outcome, FinishOutcome::Cancelled, "{agent:?}");
        assert_eq!(other.asked().await, 1, "{agent:?}");
        other.end(stage).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn sigterm_to_the_runner_stops_model_requests() {
    both(|agent| async move {
        let (stage, other, runner) = with_a_tool_that_runs(agent).await;
        kill(Pid::from_raw(i32::try_from(runner.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(end_of(runner).await.code, Some(143), "{agent:?}");
        assert!(stage.world.api.finishes().is_empty() && stage.world.head(BRANCH).is_none(), "{agent:?}");
        assert_eq!(other.asked().await, 1, "{agent:?}");
        other.end(stage).await;
    })
    .await;
}

async fn check_killed((stage, other, mut runner): (Stage, Independent, Child)) {
    let agent = stage.agent;
    runner.kill().await.unwrap();
    drop(other);
    stage.world.api.script(|script| script.lose.clear());
    stage.world.api.assign(|job| job.attempt = 2);
    let fixtures = [turn(0, shell(agent, "echo hello > greeting.txt")), turn(1, words("All done."))];
    let other = Independent::with(&stage, &fixtures).await;
    let ran = end_of(other.start(&stage)).await;
    let finish = stage.world.api.finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
    assert_eq!(stage.world.file(BRANCH, "greeting.txt").as_deref(), Some("hello\n"), "{agent:?}");
    assert_eq!((stage.world.file(BRANCH, "dirty.txt"), other.asked().await), (None, 2), "{agent:?}");
    other.end(stage).await;
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn next_attempt_does_the_work_once_after_a_kill() {
    both(|agent| async move {
        check_killed(while_it_prepares(agent).await).await;
        check_killed(while_the_model_thinks(agent).await).await;
        check_killed(with_a_tool_that_runs(agent).await).await;
    })
    .await;
}

async fn pushed(stage: &Stage) {
    let look = async {
        while stage.world.head(BRANCH).is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, look).await.unwrap();
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn kill_after_the_push_causes_no_model_request() {
    both(|agent| async move {
        for opened in [false, true] {
            let stage = Stage::of(agent).await;
            if opened {
                stage.world.api.script(|script| {
                    script.lose.insert("finish", u32::MAX);
                });
            } else {
                let opening = Calls { method: Some("POST".into()), path: "/pulls".into() };
                stage.world.forge.order_fault(opening, usize::MAX, Fault::HangUpBefore);
            }
            let fixtures = [turn(0, shell(agent, "echo hello > greeting.txt")), turn(1, words("All done."))];
            let other = Independent::with(&stage, &fixtures).await;
            let mut runner = other.start(&stage);
            if opened {
                stage.world.api.wait_for(|calls| calls.iter().any(|call| call.route == "finish")).await;
            } else {
                pushed(&stage).await;
            }
            runner.kill().await.unwrap();
            assert_eq!(stage.world.open_pull_request(BRANCH).await.is_some(), opened, "{agent:?}");
            let head = stage.world.head(BRANCH);
            stage.world.forge.forget_faults();
            stage.world.api.script(|script| script.lose.clear());
            stage.world.api.assign(|job| job.attempt = 2);
            let ran = end_of(other.start(&stage)).await;
            assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
            assert!(stage.world.open_pull_request(BRANCH).await.is_some(), "{agent:?} {}", ran.log);
            assert_eq!((stage.world.head(BRANCH), other.asked().await), (head, 2), "{agent:?}: work done twice");
            other.end(stage).await;
        }
    })
    .await;
}
