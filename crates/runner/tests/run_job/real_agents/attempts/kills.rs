//! Tests a runner that is killed mid-attempt: the next attempt starts clean and does the work once.

use super::fixture::{ALL_AGENTS, Stage};
use crate::real_agents::agent_process::wait_for_file;
use crate::world::{BRANCH, wait_for_exit};
use pullyard_demo_model::{Answer, Step};
use pullyard_protocol::attempt::FinishOutcome;

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn job_survives_a_kill_during_a_tool_call() {
    for agent in ALL_AGENTS {
        let stage = Stage::start_for(agent).await;
        stage.model.add_steps([agent.run_command_answer("touch dirty.txt; while :; do sleep 0.1; done")]);
        stage.model.set_repeating_step(Step::Hang);
        let mut runner = stage.start();
        wait_for_file(&stage.worktree().join("dirty.txt")).await;
        runner.kill().await.unwrap();
        stage.world.api.change_assignment(|job| job.attempt = 2);
        stage.model.set_repeating_step(agent.run_command_answer("echo hello > greeting.txt; sleep 0.2"));
        let again = stage.start();
        stage.world.api.wait_for_text("echo hello").await;
        stage.model.set_repeating_step(Answer::text("All done."));
        let ran = wait_for_exit(again).await;
        assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
        let finish = stage.world.api.only_finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file_at(BRANCH, "greeting.txt").unwrap(), "hello\n");
        assert_eq!(stage.world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");
        assert_eq!(stage.world.file_at(BRANCH, "dirty.txt"), None, "the second attempt found files of the first");
        stage.check_end();
    }
}
