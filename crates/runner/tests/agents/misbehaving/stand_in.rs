//! A script that poses as Claude Code.

use crate::left_over::{kill_left_over, left_over};
use crate::world::{BRANCH, Ran, World, end_of};
use pullyard_protocol::attempt::{FinishOutcome, FinishRequest};
use std::os::unix::fs::PermissionsExt;

/// The final line of a successful Claude Code run.
pub(super) const WELL: &str = r#"{"type":"result","subtype":"success","is_error":false,"result":"All done.","session_id":"s","num_turns":1,"total_cost_usd":0.01,"permission_denials":[],"terminal_reason":"completed","modelUsage":{}}"#;
pub(super) const BEGIN: &str = r#"{"type":"system","subtype":"init","session_id":"s","model":"m","cwd":"/","tools":[],"mcp_servers":[],"claude_code_version":"2.1.197"}"#;

pub(super) struct StandIn {
    pub(super) world: World,
}

impl StandIn {
    /// Runs this script when started for work. `@BEGIN@` and `@WELL@` print the first and last line; `@DIR@` is a
    /// folder outside the worktree.
    pub(super) async fn that(does: &str) -> Self {
        let world = World::with_agent("exit 1").await;
        world.api.assign(|job| {
            job.agent.capability = "claude_code".into();
            job.agent.command = Vec::new();
        });
        let outside = world.outside("").display().to_string();
        let does = does.replace("@BEGIN@", &format!("echo '{BEGIN}'")).replace("@WELL@", &format!("echo '{WELL}'"));
        let does = does.replace("@DIR@/", &outside);
        let script =
            format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo '2.1.197 (Claude Code)'; exit 0; fi\n{does}\n");
        let path = world.outside("claude");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { world }
    }

    pub(super) async fn run(&self) -> (FinishRequest, Ran) {
        let runner = self.world.spawn(|command| {
            command
                .env("PULLYARD_CLAUDE_CODE", self.world.outside("claude"))
                .env("PULLYARD_AGENT_RETRY_SECS", "0")
                .env("ANTHROPIC_API_KEY", crate::scene::KEY);
        });
        let ran = end_of(runner).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        (self.world.api.finish(), ran)
    }

    pub(super) async fn succeeds(self) {
        let (finish, ran) = self.run().await;
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", ran.log);
        self.end();
    }

    /// Runs to a failure without a push. Returns its code.
    pub(super) async fn fails(self) -> &'static str {
        let (finish, ran) = self.run().await;
        assert_eq!(finish.outcome, FinishOutcome::Failed, "{finish:?} {}", ran.log);
        assert_eq!(self.world.head(BRANCH), None, "something was pushed");
        let code = finish.failure.unwrap().code();
        self.end();
        code
    }

    pub(super) fn end(self) {
        assert_eq!(left_over(self.world.dir.path()), [], "a process still runs");
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        kill_left_over(self.world.dir.path());
    }
}
