//! Tests that a stop from outside ends the agent, its tools and all model requests.

use super::fixture::{ALL_AGENTS, Agent, Stage};
use crate::real_agents::agent_process::{WAIT_LIMIT, wait_for_content};
use crate::world::{BRANCH, wait_for_exit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pullyard_demo_model::Step;
use pullyard_protocol::attempt::FinishOutcome;
use tokio::process::Child;
use tokio::time::timeout;

async fn start_with_running_tool(agent: Agent) -> (Stage, Child) {
    let stage = Stage::start_for(agent).await;
    stage.model.add_steps([agent.run_command_answer("echo hello > greeting.txt; while :; do sleep 0.1; done")]);
    stage.model.set_repeating_step(Step::Hang);
    let runner = stage.start();
    wait_for_content(&stage.worktree().join("greeting.txt")).await;
    (stage, runner)
}

async fn start_with_pending_request(agent: Agent) -> (Stage, Child) {
    let stage = Stage::start_for(agent).await;
    stage.model.set_repeating_step(Step::Hang);
    let runner = stage.start();
    timeout(WAIT_LIMIT, stage.model.wait_for_turns(1)).await.unwrap();
    (stage, runner)
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn cancel_ends_running_tools_and_model_requests() {
    for agent in ALL_AGENTS {
        let (stage, runner) = start_with_running_tool(agent).await;
        stage.world.api.change_script(|script| script.cancel = true);
        assert_eq!(wait_for_exit(runner).await.code, Some(0));
        let finish = stage.world.api.only_finish();
        assert_eq!((finish.outcome, finish.failure), (FinishOutcome::Cancelled, None), "{agent:?}");
        assert_eq!((stage.world.branch_head(BRANCH), stage.model.model_calls().len()), (None, 1), "{agent:?}");
        stage.check_end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn cancel_ends_a_pending_model_request() {
    for agent in ALL_AGENTS {
        let (stage, runner) = start_with_pending_request(agent).await;
        stage.world.api.change_script(|script| script.cancel = true);
        assert_eq!(wait_for_exit(runner).await.code, Some(0));
        assert_eq!(stage.world.api.only_finish().outcome, FinishOutcome::Cancelled, "{agent:?}");
        assert_eq!(stage.model.model_calls().len(), 1, "{agent:?}");
        stage.check_end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn sigterm_to_the_runner_leaves_no_process() {
    for agent in ALL_AGENTS {
        let (stage, runner) = start_with_running_tool(agent).await;
        kill(Pid::from_raw(i32::try_from(runner.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(wait_for_exit(runner).await.code, Some(143), "{agent:?}");
        assert!(stage.world.api.finishes().is_empty());
        stage.check_end();
    }
}
