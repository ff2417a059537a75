//! Tests a runner that is killed mid-attempt: the next attempt starts clean and does the work once.

use super::stage::{BOTH, Stage};
use crate::running::appears;
use crate::world::{BRANCH, end_of};
use pullyard_demo_model::{Answer, Step};
use pullyard_protocol::attempt::FinishOutcome;

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn job_survives_a_kill_during_a_tool_call() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.model.play([agent.shell("touch dirty.txt; while :; do sleep 0.1; done")]);
        stage.model.keep(Step::Hang);
        let mut runner = stage.start();
        appears(&stage.tree().join("dirty.txt")).await;
        runner.kill().await.unwrap();
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
}
