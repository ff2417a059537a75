//! A cancel, and a runner that is killed.

use super::{Independent, shell, silent, turn, words};
use crate::attempts::stage::{Agent, BOTH, Stage};
use crate::running::appears;
use crate::world::{BRANCH, end_of};
use pullyard_protocol::attempt::FinishOutcome;
use tokio::process::Child;

/// A tool runs until somebody stops it.
async fn with_a_tool_that_runs(agent: Agent) -> (Stage, Independent, Child) {
    let stage = Stage::of(agent).await;
    let endless = shell(agent, "echo hello > dirty.txt; while :; do sleep 0.1; done");
    let fixtures = [turn(0, endless), silent(turn(1, words("Too late.")))];
    let other = Independent::with(&stage, &fixtures).await;
    let runner = other.start(&stage);
    appears(&stage.tree().join("dirty.txt")).await;
    (stage, other, runner)
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn a_cancelled_job_asks_the_model_nothing_more() {
    for agent in BOTH {
        let (stage, other, runner) = with_a_tool_that_runs(agent).await;
        stage.world.api.script(|script| script.cancel = true);
        assert_eq!(end_of(runner).await.code, Some(0), "{agent:?}");
        assert_eq!(stage.world.api.finish().outcome, FinishOutcome::Cancelled, "{agent:?}");
        assert_eq!((stage.world.head(BRANCH), other.asked().await), (None, 1), "{agent:?}");
        other.end(stage).await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn after_a_killed_runner_the_next_attempt_does_the_work_once() {
    for agent in BOTH {
        let (stage, other, mut runner) = with_a_tool_that_runs(agent).await;
        runner.kill().await.unwrap();
        drop(other);
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
}
