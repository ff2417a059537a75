//! Machines that make no process namespace: what an agent leaves running is found by its descent and its mark.

use super::stage::{Agent, BOTH, Stage};
use crate::running::{PATIENCE, appears, is_written};
use crate::scene::program;
use crate::world::{BRANCH, end_of};
use pullyard_demo_model::{Answer, Step};
use pullyard_protocol::attempt::FinishOutcome;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// Without a namespace, and without Codex's own sandbox: that would end what is left, too.
fn start(stage: &Stage) -> Child {
    stage.world.spawn(|command| {
        stage.equip(command);
        command.env("PULLYARD_PROCESS_NAMESPACE", "off").env("PULLYARD_ISOLATION", "external");
    })
}

/// Leaves something running in a session of its own, with nothing in its environment to know it by.
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
async fn what_a_successful_agent_leaves_running_is_gone() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.model.play([agent.shell(&leaves_something(&stage)), Answer::text("All done.")]);
        let ran = end_of(start(&stage)).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert!(ran.log.contains("outlived the agent"), "{agent:?}: nothing was left: {}", ran.log);
        stage.end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn what_a_cancelled_agent_leaves_running_is_gone() {
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

/// Where the runner itself is killed, nobody is left to look: the kernel ends the agent, and the next attempt finds
/// its tools by their mark. What wiped its environment stays, without a namespace.
#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn a_killed_runner_takes_its_agent_along_and_the_next_attempt_ends_its_tools() {
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
