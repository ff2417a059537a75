//! Tests that a stop from outside ends the agent, its tools and all model requests.

use super::stage::{Agent, BOTH, Stage};
use crate::running::{PATIENCE, is_written};
use crate::world::{BRANCH, end_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pullyard_demo_model::Step;
use pullyard_protocol::attempt::FinishOutcome;
use tokio::process::Child;
use tokio::time::timeout;

/// Starts an attempt whose tool runs until it is stopped, with a change in the worktree.
async fn with_a_tool_that_runs(agent: Agent) -> (Stage, Child) {
    let stage = Stage::of(agent).await;
    stage.model.play([agent.shell("echo hello > greeting.txt; while :; do sleep 0.1; done")]);
    stage.model.keep(Step::Hang);
    let runner = stage.start();
    is_written(&stage.tree().join("greeting.txt")).await;
    (stage, runner)
}

async fn while_the_model_thinks(agent: Agent) -> (Stage, Child) {
    let stage = Stage::of(agent).await;
    stage.model.keep(Step::Hang);
    let runner = stage.start();
    timeout(PATIENCE, stage.model.wait_for_turns(1)).await.unwrap();
    (stage, runner)
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn cancel_ends_running_tools_and_model_requests() {
    for agent in BOTH {
        let (stage, runner) = with_a_tool_that_runs(agent).await;
        stage.world.api.script(|script| script.cancel = true);
        assert_eq!(end_of(runner).await.code, Some(0));
        let finish = stage.world.api.finish();
        assert_eq!((finish.outcome, finish.failure), (FinishOutcome::Cancelled, None), "{agent:?}");
        assert_eq!((stage.world.head(BRANCH), stage.model.turns().len()), (None, 1), "{agent:?}");
        stage.end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn cancel_ends_a_pending_model_request() {
    for agent in BOTH {
        let (stage, runner) = while_the_model_thinks(agent).await;
        stage.world.api.script(|script| script.cancel = true);
        assert_eq!(end_of(runner).await.code, Some(0));
        assert_eq!(stage.world.api.finish().outcome, FinishOutcome::Cancelled, "{agent:?}");
        assert_eq!(stage.model.turns().len(), 1, "{agent:?}");
        stage.end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn sigterm_to_the_runner_leaves_no_process() {
    for agent in BOTH {
        let (stage, runner) = with_a_tool_that_runs(agent).await;
        kill(Pid::from_raw(i32::try_from(runner.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(end_of(runner).await.code, Some(143), "{agent:?}");
        assert!(stage.world.api.finishes().is_empty());
        stage.end();
    }
}
