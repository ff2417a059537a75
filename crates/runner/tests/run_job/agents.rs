//! Tests Claude Code and Codex, played by scripts that print recorded output.

mod instructions;
mod limits;
mod record;
mod restarts;

use crate::prelude::*;
use crate::world::World;
use pullyard_domain::agent::checks::{Checks, FailedChecksPolicy, Setup};
use pullyard_domain::agent::commands::CommandPolicy;
use std::path::PathBuf;

pub(crate) const CLAUDE: (&str, &str) = ("PULLYARD_CLAUDE_CODE", "2.1.197 (Claude Code)");
pub(crate) const CODEX: (&str, &str) = ("PULLYARD_CODEX", "codex-cli 0.169.0");

/// A machine with one agent program. Its script answers all calls except `--version`. In the script, `@DIR@` is a
/// folder outside the worktree, and `@CLAUDE@` and `@CODEX@` are folders of recordings.
pub(crate) struct AgentMachine {
    pub(crate) world: World,
    setting: &'static str,
    program: PathBuf,
}

impl AgentMachine {
    pub(crate) async fn with_agent((setting, version): (&'static str, &str), script: &str) -> Self {
        let world = World::with_agent("exit 9").await;
        let goldens = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens");
        let goldens_of = |agent: &str, default: (&str, &str)| {
            let version_text = if setting == default.0 { version } else { default.1 };
            let number = version_text.split(' ').find(|part| part.starts_with(|c: char| c.is_ascii_digit())).unwrap();
            format!("{goldens}/{agent}-{number}")
        };
        let script = script
            .replace("@DIR@", world.outside_path("").to_str().unwrap().trim_end_matches('/'))
            .replace("@CLAUDE@", &goldens_of("claude_code", CLAUDE))
            .replace("@CODEX@", &goldens_of("codex", CODEX));
        let starts = world.outside_path("starts");
        let program_text = format!(
            "if [ \"$1\" = --version ]; then echo '{version}'; exit 0; fi\n\
             for arg; do printf '%s\\n' \"$arg\"; done > {0}.args\ncat {0}.args >> {0}; echo ---- >> {0}\n{script}",
            starts.display()
        );
        let program = world.outside_path("agent");
        pullyard_test_script::write_script(&program, &program_text);
        world.api.change_assignment(|job| {
            job.agent.capability = if setting == CODEX.0 { "codex".into() } else { "claude_code".into() };
            job.agent.command.clear();
        });
        Self { world, setting, program }
    }

    pub(crate) fn set_env(&self, command: &mut Command) {
        command
            .env(self.setting, &self.program)
            .env("ANTHROPIC_API_KEY", "key-of-the-model")
            .env("OPENAI_API_KEY", "key-of-the-model")
            .env("PULLYARD_AGENT_RETRY_SECS", "0,0,0");
    }

    pub(crate) async fn run(&self) -> FinishRequest {
        let ran = self.world.run_with(|command| self.set_env(command)).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        assert!(!ran.log.contains("key-of-the-model"));
        self.world.api.only_finish()
    }

    pub(crate) async fn completes(&self) -> FinishRequest {
        let finish = self.run().await;
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
        finish
    }

    pub(crate) fn start_arguments(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.world.outside_path("starts")).unwrap_or_default();
        let starts = text.split("----\n").filter(|start| !start.is_empty());
        starts.map(|start| start.lines().map(str::to_owned).collect()).collect()
    }
}

pub(crate) async fn with_model(model: &str) -> AgentMachine {
    let script = "head -n 1 > @DIR@/prompt; echo hello > greeting.txt; cat @DIR@/said.jsonl; cat > /dev/null";
    let machine = AgentMachine::with_agent(CLAUDE, script).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/claude_code-2.1.197/tools_and_edits.jsonl");
    let (recording, model) = (std::fs::read_to_string(path).unwrap(), serde_json::to_string(model).unwrap());
    std::fs::write(machine.world.outside_path("said.jsonl"), recording.replace("\"claude-opus-4-8[1m]\"", &model))
        .unwrap();
    machine
}

/// A model name with a mention, a comment and two secrets, and its published form. The second secret would be cut and
/// contains an invisible character.
pub(crate) fn hostile_name() -> (String, String) {
    let long = "p".repeat(44);
    let name = format!("x`\n@all <!-- key-of-the-model {long} key-of-\u{200b}the-model");
    (name, format!("x' @all <! -- [redacted] {long} [redacted]"))
}

async fn run_to_failure(
    agent: (&'static str, &str),
    script: &str,
    change: impl FnOnce(&mut Assignment),
) -> (AgentMachine, Failure, u32) {
    let machine = AgentMachine::with_agent(agent, script).await;
    machine.world.api.change_assignment(change);
    let finish = machine.run().await;
    assert_eq!((finish.outcome, &finish.result), (FinishOutcome::Failed, &None), "{finish:?}");
    assert_eq!(machine.world.branch_head(BRANCH), None, "something was pushed");
    let starts = finish.work.map_or(0, |work| work.starts);
    (machine, finish.failure.unwrap(), starts)
}

pub(crate) const CODEX_WORKS: &str = "cat > @DIR@/prompt; echo hello > greeting.txt; mkdir -p $CODEX_HOME/sessions/2026
     cp @CODEX@/rollout.jsonl $CODEX_HOME/sessions/2026/rollout-1.jsonl; cat @CODEX@/tools_and_edits.jsonl";

/// Reads the prompt, works, prints the recording, and ends when its input closes.
const WORKING_SCRIPT: &str =
    "head -n 1 > @DIR@/prompt; echo hello > greeting.txt; cat @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null";

#[tokio::test]
async fn claude_code_works_and_reports_usage_in_every_version() {
    let recorded = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens")).unwrap();
    let names: Vec<String> = recorded.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let versions: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("claude_code-")).collect();
    assert!(!versions.is_empty(), "{names:?}");
    for version in versions {
        check_claude_code_version(version).await;
    }
}

async fn check_claude_code_version(version: &str) {
    let machine = AgentMachine::with_agent((CLAUDE.0, &format!("{version} (Claude Code)")), WORKING_SCRIPT).await;
    let finish = machine.completes().await;
    assert_eq!(machine.world.file_at(BRANCH, "greeting.txt").as_deref(), Some("hello\n"));
    let work = finish.work.unwrap();
    assert_eq!((work.agent.as_str(), work.version.as_deref()), ("claude_code", Some(version)));
    assert_eq!(work.session.as_deref(), Some("fdb0ce43-b309-486d-a9f2-6b73d8934b64"));
    let model = work.model.as_deref().unwrap();
    assert_eq!(model.strip_suffix("[1m]").unwrap_or(model), "claude-opus-4-8", "{version}");
    assert_eq!((work.starts, work.turns, work.input_tokens, work.output_tokens), (1, 4, 400, 200));
    assert_eq!((work.isolation.as_str(), finish.spent_usd_micros), ("none", Some(7_000)));
    let events = machine.world.api.events();
    let phase = |name: &str| events.iter().find(|event| event.name.as_deref() == Some(name)).unwrap();
    let executing = format!("claude_code {version}, isolation: none");
    assert_eq!(phase("executing").text.as_deref(), Some(executing.as_str()));
    assert_eq!(phase("preparing").text, None);
    for kind in [EventKind::Text, EventKind::ToolCall, EventKind::ToolResult, EventKind::FileEdit, EventKind::Command] {
        assert!(events.iter().any(|event| event.kind == kind), "{kind:?}");
    }
    let prompt = std::fs::read_to_string(machine.world.outside_path("prompt")).unwrap();
    assert!(prompt.contains("Write a greeting."));
    let [start] = machine.start_arguments().try_into().unwrap();
    assert!(start.iter().all(|arg| !arg.contains("greeting") && !arg.contains("key-of-the-model")));
}

#[tokio::test]
async fn claude_code_gets_exactly_the_pinned_settings() {
    let pinned = "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_TELEMETRY=1 DISABLE_ERROR_REPORTING=1 \
                  DISABLE_AUTOUPDATER=1 DISABLE_UPDATES=1 CLAUDE_CODE_DISABLE_BACKGROUND_TASKS=1 \
                  CLAUDE_CODE_DISABLE_CRON=1 CLAUDE_CODE_DISABLE_AUTO_MEMORY=1 CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS=1 \
                  CLAUDE_CODE_DISABLE_FILE_MENTIONS=1 ENABLE_TOOL_SEARCH=false TZ=UTC CLAUDE_CODE_MAX_RETRIES=3 \
                  API_TIMEOUT_MS=600000 BASH_DEFAULT_TIMEOUT_MS=300000 BASH_MAX_TIMEOUT_MS=1800000";
    let inherited = "PATH LANG LC_ALL TERM TMPDIR HOME CLAUDE_CONFIG_DIR ANTHROPIC_API_KEY PWD OLDPWD SHLVL _";
    let machine = AgentMachine::with_agent(CLAUDE, &format!("env > @DIR@/env; {WORKING_SCRIPT}")).await;
    machine.completes().await;
    let environment = std::fs::read_to_string(machine.world.outside_path("env")).unwrap();
    for setting in pinned.split_whitespace() {
        assert!(environment.lines().any(|line| line == setting), "{setting}: {environment}");
    }
    // No other variable is set.
    let names: Vec<&str> = pinned.split_whitespace().filter_map(|setting| Some(setting.split_once('=')?.0)).collect();
    for name in environment.lines().filter_map(|line| Some(line.split_once('=')?.0)) {
        let is_known = names.contains(&name) || inherited.split(' ').any(|variable| variable == name);
        assert!(is_known || name.starts_with("PULLYARD_"), "{name} is set");
    }
    let [start] = machine.start_arguments().try_into().unwrap();
    for flag in ["--strict-mcp-config", "--setting-sources", "--permission-mode", "--tools", "--allowedTools"] {
        assert!(start.contains(&flag.to_owned()), "{flag}: {start:?}");
    }
}

#[tokio::test]
async fn codex_works_and_reports_usage_and_price() {
    let machine = AgentMachine::with_agent(CODEX, CODEX_WORKS).await;
    machine.world.api.change_assignment(|job| job.agent.model = Some("gpt-6.1-sol".into()));
    let finish = machine.completes().await;
    let work = finish.work.unwrap();
    assert_eq!((work.agent.as_str(), work.version.as_deref(), work.turns), ("codex", Some("0.169.0"), 3));
    assert_eq!((work.input_tokens, work.output_tokens), (300, 150));
    // The model costs 2 dollars per million input tokens and 10 per million output tokens.
    assert_eq!(finish.spent_usd_micros, Some(2_100));
    assert_eq!(std::fs::read_to_string(machine.world.outside_path("prompt")).unwrap(), "Write a greeting.");
}

#[tokio::test]
async fn missing_agent_fails_before_anything_is_fetched() {
    for (capability, agent_name) in [("codex", "Codex"), ("gemini", "gemini")] {
        let machine = AgentMachine::with_agent(CLAUDE, "exit 0").await;
        machine.world.api.change_assignment(|job| job.agent.capability = capability.into());
        let finish = machine.run().await;
        let missing = Failure::AgentMissing { agent: agent_name.into(), runner: "the runner".into() };
        assert_eq!((finish.failure, finish.work), (Some(missing), None));
        assert_eq!(machine.world.api.statuses(), ["preparing"]);
        assert!(machine.world.worktrees().is_empty() && !machine.world.work_dir().join("mirrors").exists());
    }
}

fn repairing(failed: FailedChecksPolicy) -> JobCommands {
    let commands = vec!["grep hello greeting.txt || exit 4".into()];
    let checks = Checks { commands, repair: true, failed, ..Checks::default() };
    JobCommands { policy: CommandPolicy::Unrestricted, setup: Setup::default(), checks }
}

#[tokio::test]
async fn work_is_published_though_the_repair_was_denied_a_tool() {
    let script = "head -n 1 > /dev/null
         if grep -q -- --resume @DIR@/starts.args; then cat @CLAUDE@/denied.jsonl
         else echo hullo > greeting.txt; cat @CLAUDE@/tools_and_edits.jsonl; fi; cat > /dev/null";
    let machine = AgentMachine::with_agent(CLAUDE, script).await;
    machine.world.api.change_assignment(|job| job.commands = Some(repairing(FailedChecksPolicy::Draft)));
    machine.completes().await;
    assert_eq!(machine.start_arguments().len(), 2);
    assert_eq!(machine.world.file_at(BRANCH, "greeting.txt").as_deref(), Some("hullo\n"));
}

#[tokio::test]
async fn failed_checks_are_repaired_in_the_same_session() {
    let script = "head -n 1 > @DIR@/prompt
         if grep -q -- --resume @DIR@/starts.args; then
           cp @DIR@/prompt @DIR@/repair; echo hello > greeting.txt; cat @CLAUDE@/resume_after.jsonl; cat > /dev/null
         else
           echo hullo > greeting.txt; cat @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null
         fi";
    let machine = AgentMachine::with_agent(CLAUDE, script).await;
    machine.world.api.change_assignment(|job| job.commands = Some(repairing(FailedChecksPolicy::Fail)));
    let finish = machine.completes().await;
    let work = finish.work.unwrap();
    let [first, second] = machine.start_arguments().try_into().unwrap();
    assert!(first.iter().all(|arg| !arg.starts_with("--resume")), "{first:?}");
    assert!(second.contains(&"--resume=fdb0ce43-b309-486d-a9f2-6b73d8934b64".to_owned()), "{second:?}");
    let prompt = std::fs::read_to_string(machine.world.outside_path("repair")).unwrap();
    assert!(prompt.contains("checks failed") && !prompt.contains("Write a greeting."), "{prompt}");
    assert_eq!((work.starts, work.checks.len()), (2, 2));
    assert!(work.turns > 4, "usage of one start only: {work:?}");
}
