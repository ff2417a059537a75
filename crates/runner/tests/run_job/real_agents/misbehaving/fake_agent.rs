//! A script that poses as Claude Code.

use crate::real_agents::leftover_processes::{kill_leftovers, leftover_processes};
use crate::world::{BRANCH, RunResult, World, wait_for_exit};
use pullyard_protocol::attempt::{FinishOutcome, FinishRequest};

/// The final line of a successful Claude Code run.
pub(super) const SUCCESS_RESULT: &str = r#"{"type":"result","subtype":"success","is_error":false,"result":"All done.","session_id":"s","num_turns":1,"total_cost_usd":0.01,"permission_denials":[],"terminal_reason":"completed","modelUsage":{}}"#;
pub(super) const INIT_EVENT: &str = r#"{"type":"system","subtype":"init","session_id":"s","model":"m","cwd":"/","tools":[],"mcp_servers":[],"claude_code_version":"2.1.197"}"#;

pub(super) struct FakeAgent {
    pub(super) world: World,
}

impl FakeAgent {
    /// Runs this script when started for work. `@BEGIN@` and `@WELL@` print the first and last line; `@DIR@` is a
    /// folder outside the worktree.
    pub(super) async fn with_script(does: &str) -> Self {
        let world = World::with_agent("exit 1").await;
        world.api.change_assignment(|job| {
            job.agent.capability = "claude_code".into();
            job.agent.command = Vec::new();
        });
        let outside = world.outside_path("").display().to_string();
        let does = does
            .replace("@BEGIN@", &format!("echo '{INIT_EVENT}'"))
            .replace("@WELL@", &format!("echo '{SUCCESS_RESULT}'"));
        let does = does.replace("@DIR@/", &outside);
        let script = format!("if [ \"$1\" = --version ]; then echo '2.1.197 (Claude Code)'; exit 0; fi\n{does}");
        pullyard_test_script::write_script(world.outside_path("claude"), &script);
        Self { world }
    }

    pub(super) async fn run(&self) -> (FinishRequest, RunResult) {
        let runner = self.world.spawn(|command| {
            command
                .env("PULLYARD_CLAUDE_CODE", self.world.outside_path("claude"))
                .env("PULLYARD_AGENT_RETRY_SECS", "0")
                .env("ANTHROPIC_API_KEY", crate::real_agents::fixture::KEY);
        });
        let ran = wait_for_exit(runner).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        (self.world.api.only_finish(), ran)
    }

    pub(super) async fn run_to_success(self) {
        let (finish, ran) = self.run().await;
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", ran.log);
        self.check_end();
    }

    pub(super) async fn run_to_failure(self) -> &'static str {
        let (finish, ran) = self.run().await;
        assert_eq!(finish.outcome, FinishOutcome::Failed, "{finish:?} {}", ran.log);
        assert_eq!(self.world.branch_head(BRANCH), None, "something was pushed");
        let code = finish.failure.unwrap().code();
        self.check_end();
        code
    }

    pub(super) fn check_end(self) {
        assert_eq!(leftover_processes(self.world.dir.path()), [], "a process still runs");
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        kill_leftovers(self.world.dir.path());
    }
}
