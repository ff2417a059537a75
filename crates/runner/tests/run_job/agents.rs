//! Tests Claude Code and Codex, played by scripts that print recorded output.

mod again;
mod limits;
mod record;
mod told;

use crate::world::{BRANCH, World};
use pullyard_domain::checks::{Checks, FailedChecksPolicy, JobCommands, Setup};
use pullyard_domain::commands::CommandPolicy;
use pullyard_domain::failure::Failure;
use pullyard_protocol::attempt::{Assignment, FinishOutcome, FinishRequest};
use pullyard_protocol::event::EventKind;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tokio::process::Command;

pub(crate) const CLAUDE: (&str, &str) = ("PULLYARD_CLAUDE_CODE", "2.1.197 (Claude Code)");
pub(crate) const CODEX: (&str, &str) = ("PULLYARD_CODEX", "codex-cli 0.169.0");

/// A machine with one agent program; `says` is its script for all calls except `--version`. `@DIR@` is a folder outside
/// the worktree, `@CLAUDE@` and `@CODEX@` are folders of recordings.
pub(crate) struct Machine {
    pub(crate) world: World,
    setting: &'static str,
    program: PathBuf,
}

impl Machine {
    pub(crate) async fn with((setting, version): (&'static str, &str), says: &str) -> Self {
        let world = World::with_agent("exit 9").await;
        let goldens = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens");
        let runs = |agent: &str, known: (&str, &str)| {
            let named = if setting == known.0 { version } else { known.1 };
            let number = named.split(' ').find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap();
            format!("{goldens}/{agent}-{number}")
        };
        let says = says
            .replace("@DIR@", world.outside("").to_str().unwrap().trim_end_matches('/'))
            .replace("@CLAUDE@", &runs("claude_code", CLAUDE))
            .replace("@CODEX@", &runs("codex", CODEX));
        let starts = world.outside("starts");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit 0; fi\n\
             for arg; do printf '%s\\n' \"$arg\"; done > {0}.args\ncat {0}.args >> {0}; echo ---- >> {0}\n{says}\n",
            starts.display()
        );
        let program = world.outside("agent");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        world.api.assign(|job| {
            job.agent.capability = if setting == CODEX.0 { "codex".into() } else { "claude_code".into() };
            job.agent.command.clear();
        });
        Self { world, setting, program }
    }

    pub(crate) fn equip(&self, command: &mut Command) {
        command
            .env(self.setting, &self.program)
            .env("ANTHROPIC_API_KEY", "key-of-the-model")
            .env("OPENAI_API_KEY", "key-of-the-model")
            .env("PULLYARD_AGENT_RETRY_SECS", "0,0,0");
    }

    pub(crate) async fn run(&self) -> FinishRequest {
        let ran = self.world.run_with(|command| self.equip(command)).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        assert!(!ran.log.contains("key-of-the-model"));
        self.world.api.finish()
    }

    pub(crate) fn starts(&self) -> Vec<Vec<String>> {
        let starts = std::fs::read_to_string(self.world.outside("starts")).unwrap_or_default();
        let each = starts.split("----\n").filter(|start| !start.is_empty());
        each.map(|start| start.lines().map(str::to_owned).collect()).collect()
    }
}

/// A Claude Code whose output names this model.
pub(crate) async fn with_model(model: &str) -> Machine {
    let works = "head -n 1 > @DIR@/prompt; echo hello > greeting.txt; cat @DIR@/said.jsonl; cat > /dev/null";
    let machine = Machine::with(CLAUDE, works).await;
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/claude_code-2.1.197/tools_and_edits.jsonl");
    let (said, named) = (std::fs::read_to_string(recorded).unwrap(), serde_json::to_string(model).unwrap());
    std::fs::write(machine.world.outside("said.jsonl"), said.replace("\"claude-opus-4-8[1m]\"", &named)).unwrap();
    machine
}

/// A model name with a mention, a comment and two secrets, and its published form. The second secret would be cut and
/// contains an invisible character.
pub(crate) fn hostile_name() -> (String, String) {
    let long = "p".repeat(44);
    let name = format!("x`\n@all <!-- key-of-the-model {long} key-of-\u{200b}the-model");
    (name, format!("x' @all <! -- [redacted] {long} [redacted]"))
}

async fn fails(
    agent: (&'static str, &str),
    says: &str,
    change: impl FnOnce(&mut Assignment),
) -> (Machine, Failure, u32) {
    let machine = Machine::with(agent, says).await;
    machine.world.api.assign(change);
    let finish = machine.run().await;
    assert_eq!((finish.outcome, &finish.result), (FinishOutcome::Failed, &None), "{finish:?}");
    assert_eq!(machine.world.head(BRANCH), None, "something was pushed");
    let starts = finish.work.map_or(0, |work| work.starts);
    (machine, finish.failure.unwrap(), starts)
}

/// Reads the prompt, works, prints the recording, and ends when its input closes.
const WORKS: &str =
    "head -n 1 > @DIR@/prompt; echo hello > greeting.txt; cat @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null";

#[tokio::test]
async fn claude_code_works_and_reports_usage_in_every_version() {
    let recorded = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens")).unwrap();
    let names: Vec<String> = recorded.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let versions: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("claude_code-")).collect();
    assert!(!versions.is_empty(), "{names:?}");
    for version in versions {
        claude_code_works(version).await;
    }
}

async fn claude_code_works(version: &str) {
    let machine = Machine::with((CLAUDE.0, &format!("{version} (Claude Code)")), WORKS).await;
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    assert_eq!(machine.world.file(BRANCH, "greeting.txt").as_deref(), Some("hello\n"));
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
    let prompt = std::fs::read_to_string(machine.world.outside("prompt")).unwrap();
    assert!(prompt.contains("Write a greeting."));
    let [start] = machine.starts().try_into().unwrap();
    assert!(start.iter().all(|arg| !arg.contains("greeting") && !arg.contains("key-of-the-model")));
}

#[tokio::test]
async fn claude_code_gets_exactly_the_pinned_settings() {
    let pinned = [
        // No calls except to the model.
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_TELEMETRY", "1"),
        ("DISABLE_ERROR_REPORTING", "1"),
        // No updates.
        ("DISABLE_AUTOUPDATER", "1"),
        ("DISABLE_UPDATES", "1"),
        // No work in the background, after the job, or into the next job.
        ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
        ("CLAUDE_CODE_DISABLE_CRON", "1"),
        ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
        // Text from commits is not shown as instructions.
        ("CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS", "1"),
        // Files that a prompt names are not read.
        ("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1"),
        // Only the allowed tools, without a placeholder for others.
        ("ENABLE_TOOL_SEARCH", "false"),
        // The reset time of a limit is printed in the local time zone.
        ("TZ", "UTC"),
        // Claude Code gives up a request before a default stall and retries three times. A silent provider would take
        // 40 minutes, so the stall comes first.
        ("CLAUDE_CODE_MAX_RETRIES", "3"),
        ("API_TIMEOUT_MS", "600000"),
        // Commands may take as long as builds do, and end before a silent tool counts as a default stall.
        ("BASH_DEFAULT_TIMEOUT_MS", "300000"),
        ("BASH_MAX_TIMEOUT_MS", "1800000"),
    ];
    let machine = Machine::with(CLAUDE, &format!("env > @DIR@/env; {WORKS}")).await;
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let given = std::fs::read_to_string(machine.world.outside("env")).unwrap();
    for (name, value) in pinned {
        assert!(given.lines().any(|line| line == format!("{name}={value}")), "{name} is not {value}: {given}");
    }
    // No other variable is set.
    let known = pinned.map(|(name, _)| name);
    let ours = ["PATH", "LANG", "LC_ALL", "TERM", "TMPDIR", "HOME", "CLAUDE_CONFIG_DIR", "ANTHROPIC_API_KEY"];
    let shells = ["PWD", "OLDPWD", "SHLVL", "_"];
    let strange: Vec<_> = given
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name))
        .filter(|name| !known.contains(name) && !ours.contains(name) && !shells.contains(name))
        .filter(|name| !name.starts_with("PULLYARD_"))
        .collect();
    assert_eq!(strange, <[&str; 0]>::default());
    let [start] = machine.starts().try_into().unwrap();
    for flag in ["--strict-mcp-config", "--setting-sources", "--permission-mode", "--tools", "--allowedTools"] {
        assert!(start.contains(&flag.to_owned()), "{flag}: {start:?}");
    }
}

#[tokio::test]
async fn codex_works_and_reports_usage_and_price() {
    let machine = Machine::with(
        CODEX,
        "cat > @DIR@/prompt; echo hello > greeting.txt; mkdir -p $CODEX_HOME/sessions/2026
         cp @CODEX@/rollout.jsonl $CODEX_HOME/sessions/2026/rollout-1.jsonl; cat @CODEX@/tools_and_edits.jsonl",
    )
    .await;
    machine.world.api.assign(|job| job.agent.model = Some("gpt-6.1-sol".into()));
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let work = finish.work.unwrap();
    assert_eq!((work.agent.as_str(), work.version.as_deref(), work.turns), ("codex", Some("0.169.0"), 3));
    assert_eq!((work.input_tokens, work.output_tokens), (300, 150));
    // The model costs 2 dollars per million input tokens and 10 per million output tokens.
    assert_eq!((finish.spent_usd_micros, work.prices_of.as_deref()), (Some(2_100), Some("2026-11")));
    assert_eq!(std::fs::read_to_string(machine.world.outside("prompt")).unwrap(), "Write a greeting.");
}

#[tokio::test]
async fn codex_home_is_not_below_the_temporary_folder() {
    // Below TMPDIR, Codex creates no helper programs, and its model cannot apply patches.
    let says = "env > @DIR@/env; cat > /dev/null; echo hello > greeting.txt; cat @CODEX@/tools_and_edits.jsonl";
    let machine = Machine::with(CODEX, says).await;
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let given = std::fs::read_to_string(machine.world.outside("env")).unwrap();
    let folder = |name: &str| {
        let mut set = given.lines().filter_map(|line| line.split_once('='));
        set.find(|(set, _)| *set == name).map(|(_, value)| PathBuf::from(value)).unwrap()
    };
    let (own, temporary) = (folder("CODEX_HOME"), folder("TMPDIR"));
    assert!(!own.starts_with(&temporary), "{} is below {}", own.display(), temporary.display());
}

#[tokio::test]
async fn claimed_success_is_not_trusted() {
    // No final line, with exit code 0.
    let says = "echo x > x; sed '/content_block_stop/q' @CLAUDE@/tools_and_edits.jsonl";
    let (_, failure, _) = fails(CLAUDE, says, |_| ()).await;
    assert_eq!(failure.sentence(), "Claude Code stopped with exit code 0: \"I will write it\".");
    // A final line of success, with exit code 1.
    let says = "echo x > x; cat @CODEX@/tools_and_edits.jsonl; exit 1";
    assert_eq!(fails(CODEX, says, |_| ()).await.1.code(), "agent_failed");
    // Success, but a needed tool was denied.
    let says = "cat @CLAUDE@/denied.jsonl; cat > /dev/null";
    assert_eq!(fails(CLAUDE, says, |_| ()).await.1, Failure::PermissionDenied { tool: "Bash".into() });
}

#[tokio::test]
async fn denied_tool_is_remembered_across_turns_and_starts() {
    let bash = Failure::PermissionDenied { tool: "Bash".into() };
    // Each result line covers its own turn.
    let turns = "head -n 1 > /dev/null; cat @CLAUDE@/denied.jsonl @CLAUDE@/resume_after.jsonl; cat > /dev/null";
    let (_, failure, starts) = fails(CLAUDE, turns, |_| ()).await;
    assert_eq!((failure, starts), (bash.clone(), 1));
    let begins_again = r#"head -n 1 > /dev/null
         if grep -q -- --resume @DIR@/starts.args; then
           cat @CLAUDE@/resume_after.jsonl; cat > /dev/null
         else
           denied='"permission_denials":[{"tool_name":"Bash","tool_use_id":"t","tool_input":{}}]'
           sed "s/\"permission_denials\":\[\]/$denied/" @CLAUDE@/resume_before.jsonl; exit 1
         fi"#;
    let (_, failure, starts) = fails(CLAUDE, begins_again, |_| ()).await;
    assert_eq!((failure, starts), (bash, 2));
    // An agent with changes has done its work despite the denial.
    let machine = Machine::with(CLAUDE, &format!("echo hello > greeting.txt; {turns}")).await;
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
}

#[tokio::test]
async fn cancel_works_after_the_agent_deleted_its_worktree() {
    let says = "head -n 1 > /dev/null; tree=$PWD; cd /; rm -rf \"$tree\"; cat @CLAUDE@/denied.jsonl; exec sleep 600";
    let machine = Machine::with(CLAUDE, says).await;
    let runner = machine.world.spawn(|command| machine.equip(command));
    machine.world.api.wait_for_text("\"result\"").await;
    machine.world.api.script(|script| script.cancel = true);
    let ran = crate::world::end_of(runner).await;
    let finish = machine.world.api.finish();
    assert_eq!((finish.outcome, finish.failure), (FinishOutcome::Cancelled, None), "{}", ran.log);
}

#[tokio::test]
async fn missing_agent_fails_before_anything_is_fetched() {
    for (capability, said) in [("codex", "Codex"), ("gemini", "gemini")] {
        let machine = Machine::with(CLAUDE, "exit 0").await;
        machine.world.api.assign(|job| job.agent.capability = capability.into());
        let finish = machine.run().await;
        let missing = Failure::AgentMissing { agent: said.into(), runner: "the runner".into() };
        assert_eq!((finish.failure, finish.work), (Some(missing), None));
        assert_eq!(machine.world.api.statuses(), ["preparing"]);
        assert!(machine.world.worktrees().is_empty() && !machine.world.work_dir().join("mirrors").exists());
    }
}

#[tokio::test]
async fn uncommittable_files_are_no_work_after_a_denied_tool() {
    let says = "cat @CLAUDE@/denied.jsonl; cat > /dev/null";
    for leaves in [
        "git worktree add -q sub/tree >&2 || exit 9; echo work > sub/tree/work.txt",
        "git clone -q . 'a copy' >&2 || exit 9; echo work > 'a copy/work.txt'",
        // An empty question.
        "mkdir .pullyard; echo > .pullyard/question.md",
    ] {
        let (_, failure, _) = fails(CLAUDE, &format!("{leaves}; {says}"), |_| ()).await;
        assert_eq!(failure, Failure::PermissionDenied { tool: "Bash".into() }, "{leaves}");
    }
    // A repository that the agent began and a file next to a clone count as work.
    for leaves in ["git init -q begun; echo mine > begun/mine.txt", "git clone -q . sub/copy >&2; echo mine > sub/mine"]
    {
        let machine = Machine::with(CLAUDE, &format!("{leaves}; {says}")).await;
        let finish = machine.run().await;
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{leaves}: {finish:?}");
    }
}

#[tokio::test]
async fn work_is_published_though_the_repair_was_denied_a_tool() {
    let says = "head -n 1 > /dev/null
         if grep -q -- --resume @DIR@/starts.args; then cat @CLAUDE@/denied.jsonl
         else echo hullo > greeting.txt; cat @CLAUDE@/tools_and_edits.jsonl; fi; cat > /dev/null";
    let machine = Machine::with(CLAUDE, says).await;
    machine.world.api.assign(|job| {
        let checks = Checks {
            commands: vec!["grep hello greeting.txt".into()],
            repair: true,
            failed: FailedChecksPolicy::Draft,
            ..Checks::default()
        };
        job.commands = Some(JobCommands { policy: CommandPolicy::Unrestricted, setup: Setup::default(), checks });
    });
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    assert_eq!(machine.starts().len(), 2);
    assert_eq!(machine.world.file(BRANCH, "greeting.txt").as_deref(), Some("hullo\n"));
}

#[tokio::test]
async fn failed_checks_are_repaired_in_the_same_session_and_limits() {
    let says = "head -n 1 > @DIR@/prompt
         if grep -q -- --resume @DIR@/starts.args; then
           cp @DIR@/prompt @DIR@/repair; echo hello > greeting.txt; cat @CLAUDE@/resume_after.jsonl; cat > /dev/null
         else
           echo hullo > greeting.txt; cat @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null
         fi";
    let machine = Machine::with(CLAUDE, says).await;
    let commands = || {
        let mut checks = Checks { repair: true, ..Checks::default() };
        checks.commands = vec!["grep hello greeting.txt || exit 4".into()];
        Some(JobCommands { policy: CommandPolicy::Unrestricted, setup: Setup::default(), checks })
    };
    machine.world.api.assign(|job| job.commands = commands());
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let work = finish.work.unwrap();
    let [first, second] = machine.starts().try_into().unwrap();
    assert!(first.iter().all(|arg| !arg.starts_with("--resume")), "{first:?}");
    assert!(second.contains(&"--resume=fdb0ce43-b309-486d-a9f2-6b73d8934b64".to_owned()), "{second:?}");
    let told = std::fs::read_to_string(machine.world.outside("repair")).unwrap();
    assert!(told.contains("checks failed") && !told.contains("Write a greeting."), "{told}");
    assert_eq!((work.starts, work.checks.len()), (2, 2));
    assert!(work.turns > 4, "usage of one start only: {work:?}");

    // The repair may use only the rest of the limits; without a rest, it does not start.
    let (_, failure, starts) = fails(CLAUDE, says, |job| {
        job.commands = commands();
        job.limits.turns = Some(4);
    })
    .await;
    assert_eq!((failure.code(), starts), ("checks_failed", 1));
}
