//! Tests the cleanup of an agent's processes on machines without process namespaces.

use super::stage::{Agent, BOTH, Stage};
use crate::running::{PATIENCE, appears, is_written};
use crate::scene::program;
use crate::world::{BRANCH, end_of};
use pullyard_demo_model::{Answer, Step};
use pullyard_protocol::attempt::FinishOutcome;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// Starts a runner without process namespaces and without Codex's own sandbox, which would end leftover processes too.
fn start(stage: &Stage) -> Child {
    stage.world.spawn(|command| {
        stage.equip(command);
        command.env("PULLYARD_PROCESS_NAMESPACE", "off").env("PULLYARD_ISOLATION", "external");
    })
}

/// A command that leaves a process in its own session with an empty environment, so that no mark identifies it.
fn leaves_something(stage: &Stage) -> String {
    let mark = stage.world.outside("left");
    let mark = mark.display();
    format!(
        "env -i PATH=$PATH setsid sh -c '(setsid sh -c \"echo > {mark}; while :; do sleep 0.1; done\" &) & exit 0' \
         >/dev/null 2>&1; while [ ! -e {mark} ]; do sleep 0.02; done; echo hello > greeting.txt"
    )
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn successful_agent_leaves_no_process_without_namespaces() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.model.play([agent.shell(&leaves_something(&stage)), Answer::text("All done.")]);
        let ran = end_of(start(&stage)).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert!(ran.log.contains("outlived the agent"), "{agent:?}: no process outlived the agent: {}", ran.log);
        stage.end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn cancelled_agent_leaves_no_process_without_namespaces() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.model.play([agent.shell(&format!("{}; while :; do sleep 0.1; done", leaves_something(&stage)))]);
        stage.model.keep(Step::Hang);
        let runner = start(&stage);
        is_written(&stage.tree().join("greeting.txt")).await;
        stage.world.api.script(|script| script.cancel = true);
        let ran = end_of(runner).await;
        assert_eq!(stage.world.api.finish().outcome, FinishOutcome::Cancelled, "{agent:?} {}", ran.log);
        assert_eq!(stage.world.head(BRANCH), None, "{agent:?}");
        stage.end();
    }
}

/// The kernel ends the agent of a killed runner, and the next attempt finds its tools by their mark. Without a
/// namespace, a process that cleared its environment survives.
#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn killed_runner_ends_agent_and_next_attempt_ends_its_tools() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.model.play([agent.shell("touch dirty.txt; setsid sh -c 'while :; do sleep 0.1; done'")]);
        stage.model.keep(Step::Hang);
        let mut runner = start(&stage);
        appears(&stage.tree().join("dirty.txt")).await;
        let its_own = program(match agent {
            Agent::ClaudeCode => "PULLYARD_CLAUDE_CODE",
            Agent::Codex => "PULLYARD_CODEX",
        });
        let agents = || stage.left_over().into_iter().filter(|(_, line)| line.starts_with(&its_own)).count();
        assert!(agents() > 0, "{agent:?}: {:?}", stage.left_over());
        runner.kill().await.unwrap();
        let gone = async {
            while agents() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap_or_else(|_| panic!("{agent:?}: {:?}", stage.left_over()));

        stage.world.api.assign(|job| job.attempt = 2);
        stage.model.play([agent.shell("echo hello > greeting.txt"), Answer::text("All done.")]);
        let ran = end_of(start(&stage)).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        stage.end();
    }
}
