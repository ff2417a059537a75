//! Agents with a command line of their own, played by scripts that say what real ones were recorded to say. In
//! `record` what is told of their work, in `again` which are started again, in `limits` what ends them, in `told` what
//! their repository tells them.

mod again;
mod limits;
mod record;
mod told;

use crate::world::{BRANCH, World};
use pullyard_domain::checks::{Checks, FailedChecks, JobCommands, Setup};
use pullyard_domain::commands::CommandPolicy;
use pullyard_domain::failure::Failure;
use pullyard_protocol::attempt::{Assignment, FinishOutcome, FinishRequest};
use pullyard_protocol::event::EventKind;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tokio::process::Command;

pub(crate) const CLAUDE: (&str, &str) = ("PULLYARD_CLAUDE_CODE", "2.1.197 (Claude Code)");
pub(crate) const CODEX: (&str, &str) = ("PULLYARD_CODEX", "codex-cli 0.169.0");

/// A machine with one agent: `says` is what its program does when it is not asked for its version. In it,
/// `@DIR@` is a folder outside the worktree and `@CLAUDE@`, `@CODEX@` are the recorded runs, those of its version.
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

    /// What a runner is given.
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

    /// The arguments of each start.
    pub(crate) fn starts(&self) -> Vec<Vec<String>> {
        let starts = std::fs::read_to_string(self.world.outside("starts")).unwrap_or_default();
        let each = starts.split("----\n").filter(|start| !start.is_empty());
        each.map(|start| start.lines().map(str::to_owned).collect()).collect()
    }
}

/// Claude Code whose lines give its model this name.
pub(crate) async fn with_model(model: &str) -> Machine {
    let works = "head -n 1 > @DIR@/prompt; echo hello > greeting.txt; cat @DIR@/said.jsonl; cat > /dev/null";
    let machine = Machine::with(CLAUDE, works).await;
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/claude_code-2.1.197/tools_and_edits.jsonl");
    let (said, named) = (std::fs::read_to_string(recorded).unwrap(), serde_json::to_string(model).unwrap());
    std::fs::write(machine.world.outside("said.jsonl"), said.replace("\"claude-opus-4-8[1m]\"", &named)).unwrap();
    machine
}

/// A name with a mention, a comment and two secrets in it, of which the last would be cut and has something invisible
/// in it; and what is published of it.
pub(crate) fn hostile_name() -> (String, String) {
    let long = "p".repeat(44);
    let name = format!("x`\n@all <!-- key-of-the-model {long} key-of-\u{200b}the-model");
    (name, format!("x' @all <! -- [redacted] {long} [redacted]"))
}

/// Fails in this way, and has pushed nothing.
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

/// Reads the prompt, works, says what was recorded, and ends when nothing more comes.
const WORKS: &str =
    "head -n 1 > @DIR@/prompt; echo hello > greeting.txt; cat @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null";

#[tokio::test]
async fn claude_code_works_and_what_it_took_is_told() {
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
async fn claude_code_is_given_every_setting_that_keeps_it_to_its_work() {
    let pinned = [
        // It calls nobody but the model.
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_TELEMETRY", "1"),
        ("DISABLE_ERROR_REPORTING", "1"),
        // It stays the program that was looked at.
        ("DISABLE_AUTOUPDATER", "1"),
        ("DISABLE_UPDATES", "1"),
        // Nothing goes on beside its work, after it, or into the next one.
        ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
        ("CLAUDE_CODE_DISABLE_CRON", "1"),
        ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
        // What strangers wrote into commits is not told as its own.
        ("CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS", "1"),
        // What a prompt names is not read for it.
        ("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1"),
        // It offers its model the tools that it is told, and no placeholder for others.
        ("ENABLE_TOOL_SEARCH", "false"),
        // When its account's limit ends it says in its own time.
        ("TZ", "UTC"),
        // It gives up a request before a stall of the default, and asks again three times. Where its provider answers
        // none of them that takes 40 minutes, so the stall comes first: to ask again is no sign of life.
        ("CLAUDE_CODE_MAX_RETRIES", "3"),
        ("API_TIMEOUT_MS", "600000"),
        // Its commands may take as long as builds do, and end before a silent tool is a stall of the default.
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
    // And what no test knows the reason of is not given.
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
async fn codex_works_and_what_it_took_is_told() {
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
    // By the price of its model: 2 dollars for a million that it read, 10 for a million that it wrote.
    assert_eq!((finish.spent_usd_micros, work.prices_of.as_deref()), (Some(2_100), Some("2026-11")));
    assert_eq!(std::fs::read_to_string(machine.world.outside("prompt")).unwrap(), "Write a greeting.");
}

#[tokio::test]
async fn codex_has_its_own_folder_where_it_makes_its_helpers() {
    // Below the folder for temporary files it makes none, and its model has no program to patch files by.
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
async fn what_an_agent_says_of_itself_is_not_believed() {
    // No last line, though the exit code is 0.
    let says = "echo x > x; sed '/content_block_stop/q' @CLAUDE@/tools_and_edits.jsonl";
    let (_, failure, _) = fails(CLAUDE, says, |_| ()).await;
    assert_eq!(failure.sentence(), "Claude Code ended with exit code 0: \"I will write it\".");
    // A last line that says success, and an exit code that doesn't.
    let says = "echo x > x; cat @CODEX@/tools_and_edits.jsonl; exit 1";
    assert_eq!(fails(CODEX, says, |_| ()).await.1.code(), "agent_failed");
    // Success, without the tool that it needed.
    let says = "cat @CLAUDE@/denied.jsonl; cat > /dev/null";
    assert_eq!(fails(CLAUDE, says, |_| ()).await.1, Failure::PermissionDenied { tool: "Bash".into() });
}

#[tokio::test]
async fn a_tool_that_was_denied_is_not_forgotten_over_a_further_turn_or_start() {
    let bash = Failure::PermissionDenied { tool: "Bash".into() };
    // Each of its results tells of its own turn.
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
    // Who did something all the same has done its work.
    let machine = Machine::with(CLAUDE, &format!("echo hello > greeting.txt; {turns}")).await;
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
}

#[tokio::test]
async fn a_job_is_cancelled_though_its_agent_took_its_folder_away_after_a_tool_was_denied_to_it() {
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
async fn an_agent_that_is_not_here_is_missing_before_anything_is_fetched() {
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
async fn what_is_in_no_commit_is_no_work_of_an_agent_that_a_tool_was_denied_to() {
    let says = "cat @CLAUDE@/denied.jsonl; cat > /dev/null";
    for leaves in [
        "git worktree add -q sub/tree >&2 || exit 9; echo work > sub/tree/work.txt",
        "git clone -q . 'a copy' >&2 || exit 9; echo work > 'a copy/work.txt'",
        // A question without a word.
        "mkdir .pullyard; echo > .pullyard/question.md",
    ] {
        let (_, failure, _) = fails(CLAUDE, &format!("{leaves}; {says}"), |_| ()).await;
        assert_eq!(failure, Failure::PermissionDenied { tool: "Bash".into() }, "{leaves}");
    }
    // What it began is its work, and so is what stands beside a copy.
    for leaves in ["git init -q begun; echo mine > begun/mine.txt", "git clone -q . sub/copy >&2; echo mine > sub/mine"]
    {
        let machine = Machine::with(CLAUDE, &format!("{leaves}; {says}")).await;
        let finish = machine.run().await;
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{leaves}: {finish:?}");
    }
}

#[tokio::test]
async fn work_is_published_though_a_tool_is_denied_to_who_mends_it() {
    let says = "head -n 1 > /dev/null
         if grep -q -- --resume @DIR@/starts.args; then cat @CLAUDE@/denied.jsonl
         else echo hullo > greeting.txt; cat @CLAUDE@/tools_and_edits.jsonl; fi; cat > /dev/null";
    let machine = Machine::with(CLAUDE, says).await;
    machine.world.api.assign(|job| {
        let checks = Checks {
            commands: vec!["grep hello greeting.txt".into()],
            repair: true,
            failed: FailedChecks::Draft,
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
async fn checks_that_failed_are_mended_in_the_same_session_under_the_same_limits() {
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
    assert!(work.turns > 4, "what both took is told: {work:?}");

    // What the first one took is taken from what the second may: where nothing is left, none begins.
    let (_, failure, starts) = fails(CLAUDE, says, |job| {
        job.commands = commands();
        job.limits.turns = Some(4);
    })
    .await;
    assert_eq!((failure.code(), starts), ("checks_failed", 1));
}
