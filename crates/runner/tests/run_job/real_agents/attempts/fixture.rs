//! Runs one attempt with one agent program and checks the conditions that hold after each attempt.

use crate::real_agents::fixture::{KEY, key_fragments, program};
use crate::real_agents::leftover_processes::{kill_leftovers, leftover_processes};
use crate::real_agents::refusing_proxy::RefusingProxy;
use crate::world::{BRANCH, RunResult, World, wait_for_exit};
use pullyard_demo_model::{Answer, DemoModel, Options, Outcome};
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::attempt::FinishOutcome;
use pullyard_protocol::event::{Event, EventKind};
use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    ClaudeCode,
    Codex,
}

pub(crate) const ALL_AGENTS: [Agent; 2] = [Agent::ClaudeCode, Agent::Codex];

/// How long Codex waits for a command before it sends the next request. The default of ten seconds is too short for a
/// test on a loaded machine.
pub(crate) const CODEX_YIELD_TIME_MS: u32 = 30_000;

impl Agent {
    pub(crate) fn capability(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude_code",
            Self::Codex => "codex",
        }
    }

    pub(crate) fn run_command_answer(self, command: &str) -> Answer {
        match self {
            Self::ClaudeCode => Answer::tool("Bash", json!({ "command": command, "description": "run" })),
            Self::Codex => {
                Answer::tool("exec_command", json!({ "cmd": command, "yield_time_ms": CODEX_YIELD_TIME_MS }))
            }
        }
    }
}

pub(crate) struct Stage {
    pub(crate) agent: Agent,
    pub(crate) world: World,
    pub(crate) model: DemoModel,
    pub(crate) refusing_proxy: RefusingProxy,
}

impl Stage {
    pub(crate) async fn start_for(agent: Agent) -> Self {
        let world = World::with_agent("exit 1").await;
        world.api.change_assignment(|job| {
            job.agent.capability = agent.capability().into();
            job.agent.command = Vec::new();
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let model = DemoModel::start(Options { listener }).await.unwrap();
        Self { agent, world, model, refusing_proxy: RefusingProxy::start().await }
    }

    pub(crate) fn set_env(&self, command: &mut Command) {
        command
            .env("PULLYARD_CLAUDE_CODE", program("PULLYARD_CLAUDE_CODE"))
            .env("PULLYARD_CODEX", program("PULLYARD_CODEX"))
            .env("PULLYARD_AGENT_RETRY_SECS", "0")
            // With a short grace period, an agent may send another request before it reads the interrupt.
            .env("PULLYARD_STOP_GRACE_SECS", "5")
            .env("ANTHROPIC_API_KEY", KEY)
            .env("ANTHROPIC_BASE_URL", self.model.url())
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", self.model.openai_url())
            .env("HTTPS_PROXY", &self.refusing_proxy.url)
            .env("HTTP_PROXY", &self.refusing_proxy.url)
            .env("NO_PROXY", "127.0.0.1,localhost");
    }

    pub(crate) fn start(&self) -> Child {
        self.world.spawn(|command| self.set_env(command))
    }

    pub(crate) async fn run(&self) -> RunResult {
        self.run_with(|_| ()).await
    }

    pub(crate) async fn run_with(&self, change: impl FnOnce(&mut Command)) -> RunResult {
        let child = self.world.spawn(|command| {
            self.set_env(command);
            change(command);
        });
        wait_for_exit(child).await
    }

    /// Lets the account of sandboxed agents enter the folder, if this process is root.
    pub(crate) fn set_isolation(&self, isolation: &str, command: &mut Command) {
        std::fs::set_permissions(self.world.dir.path(), Permissions::from_mode(0o711)).unwrap();
        command.env("PULLYARD_ISOLATION", isolation);
    }

    pub(crate) async fn run_to_failure(&self) -> Failure {
        let ran = self.run().await;
        assert_eq!(ran.code, Some(0), "{:?}: {}", self.agent, ran.log);
        let finish = self.world.api.only_finish();
        assert_eq!((finish.outcome, &finish.result), (FinishOutcome::Failed, &None), "{:?} {finish:?}", self.agent);
        assert_eq!(self.world.branch_head(BRANCH), None, "something was pushed");
        finish.failure.unwrap()
    }

    pub(crate) async fn run_to_success(&self) {
        let ran = self.run().await;
        assert_eq!(ran.code, Some(0), "{:?}: {}", self.agent, ran.log);
        let finish = self.world.api.only_finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{:?} {finish:?}\n{}", self.agent, ran.log);
    }

    pub(crate) fn worktree(&self) -> PathBuf {
        let assignment = self.world.api.assignment();
        let name = format!("{}-{}", assignment.job, assignment.attempt);
        self.world.work_dir().join("worktrees").join(name).join("tree")
    }

    pub(crate) fn events_of_kind(&self, kind: EventKind) -> Vec<Event> {
        self.world.api.events().into_iter().filter(|event| event.kind == kind).collect()
    }

    pub(crate) fn events_json(&self) -> String {
        serde_json::to_string(&self.world.api.events()).unwrap()
    }

    pub(crate) fn leftover_processes(&self) -> Vec<(i32, String)> {
        leftover_processes(self.world.dir.path())
    }

    pub(crate) fn check_end(self) {
        assert_eq!(self.leftover_processes(), [], "{:?}: a process still runs", self.agent);
        assert_eq!(self.refusing_proxy.request_lines(), <[String; 0]>::default(), "{:?}: an external call", self.agent);
        let requests = self.model.requests();
        let strange = |outcome| matches!(outcome, Outcome::NotServed | Outcome::ScriptEmpty);
        let strange: Vec<_> = requests.iter().filter(|request| strange(request.outcome)).collect();
        assert!(strange.is_empty(), "{:?}: {strange:?}", self.agent);
        let forms = key_fragments();
        for (to, content) in self.world.sent_data() {
            let content = String::from_utf8_lossy(&content);
            let form = forms.iter().find(|form| content.contains(form.as_str()));
            assert_eq!(form, None, "{:?}: {to} contains the key: {content}", self.agent);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        kill_leftovers(self.world.dir.path());
    }
}
