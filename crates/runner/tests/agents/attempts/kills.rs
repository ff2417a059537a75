//! Tests a runner that is killed mid-attempt: the next attempt starts clean and does the work once.

use super::stage::{BOTH, Stage};
use crate::running::{PATIENCE, appears};
use crate::world::{BRANCH, end_of};
use pullyard_demo_model::{Answer, Step};
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_protocol::attempt::FinishOutcome;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::timeout;

/// Kills the first attempt and lets the second do the work.
async fn check(stage: Stage, mut runner: Child) {
    let agent = stage.agent;
    runner.kill().await.unwrap();
    // Hang every late request of the killed attempt.
    stage.model.keep(Step::Hang);
    stage.world.api.script(|script| {
        script.refuse.clear();
        script.lose.clear();
    });
    stage.world.api.assign(|job| job.attempt = 2);
    stage.model.keep(agent.shell("echo hello > greeting.txt; sleep 0.2"));
    let again = stage.start();
    stage.world.api.wait_for_text("echo hello").await;
    stage.model.keep(Answer::text("All done."));
    let ran = end_of(again).await;
    assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
    let finish = stage.world.api.finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
    assert_eq!(stage.world.file(BRANCH, "greeting.txt").unwrap(), "hello\n");
    assert_eq!(stage.world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");
    assert_eq!(stage.world.file(BRANCH, "dirty.txt"), None, "the second attempt found files of the first");
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn job_survives_a_kill_while_preparing() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.world.api.script(|script| {
            script.lose.insert("credentials", u32::MAX);
        });
        let runner = stage.start();
        let asked = stage.world.api.wait_for(|calls| calls.iter().any(|call| call.route == "credentials"));
        timeout(PATIENCE, asked).await.unwrap();
        check(stage, runner).await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn job_survives_a_kill_during_a_model_request() {
    for agent in BOTH {
        let (stage, runner) = super::stops::while_the_model_thinks(agent).await;
        check(stage, runner).await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn job_survives_a_kill_during_a_tool_call() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.model.play([agent.shell("touch dirty.txt; while :; do sleep 0.1; done")]);
        stage.model.keep(Step::Hang);
        let runner = stage.start();
        appears(&stage.tree().join("dirty.txt")).await;
        check(stage, runner).await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn next_attempt_opens_the_pr_after_a_kill_following_the_push() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let opening = Calls { method: Some("POST".into()), path: "/pulls".into() };
        stage.world.forge.order_fault(opening, usize::MAX, Fault::HangUpBefore);
        stage.model.play([agent.shell("echo hello > greeting.txt"), Answer::text("All done.")]);
        let mut runner = stage.start();
        let look = async {
            while stage.world.head(BRANCH).is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, look).await.unwrap();
        runner.kill().await.unwrap();
        stage.world.forge.forget_faults();
        stage.world.api.assign(|job| job.attempt = 2);
        let ran = stage.run().await;
        assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
        assert!(stage.world.open_pull_request(BRANCH).await.is_some(), "{agent:?}");
        assert_eq!(stage.model.turns().len(), 2, "{agent:?}: the work was done again");
        stage.end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn next_attempt_adopts_the_commit_after_a_kill_before_finish() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.world.api.script(|script| {
            script.lose.insert("finish", u32::MAX);
        });
        stage.model.play([agent.shell("echo hello > greeting.txt"), Answer::text("All done.")]);
        let mut runner = stage.start();
        let sent = stage.world.api.wait_for(|calls| calls.iter().any(|call| call.route == "finish"));
        timeout(PATIENCE, sent).await.unwrap();
        runner.kill().await.unwrap();
        let head = stage.world.head(BRANCH);
        assert!(head.is_some(), "{agent:?}");
        stage.world.api.script(|script| script.lose.clear());
        stage.world.api.assign(|job| job.attempt = 2);
        let ran = stage.run().await;
        assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
        assert_eq!((stage.world.head(BRANCH), stage.model.turns().len()), (head, 2), "{agent:?}");
        stage.end();
    }
}
