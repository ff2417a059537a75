//! Starts Claude Code so that it calls only its model, ignores the repository's settings, and can be interrupted.

mod lines;
mod session;

use crate::Isolation;
use crate::agent::adapter::{Adapter, InputEncoder, Launch, StartInput};
use crate::agent::driver::{Driver, Program};
use crate::agent::environment::Environment;
use crate::agent::host_profile::HostProfile;
use crate::agent::model_route::PLACEHOLDER_KEY;
use crate::agent::prompt_escape;
use crate::api::ids;
use crate::git::workspace::disk::create_private_dir;
use crate::git::workspace::remove_entry;
use crate::process::program::executable_file;
use lines::StreamJsonParser;
use pullyard_agent_proxy::model::{Key, Upstream};
use pullyard_domain::agent::{ModelKey, Provider, claude_code};
use pullyard_domain::job::AgentWrites;
use pullyard_domain::project::budget::format_usd_exact;
use serde_json::json;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub(super) const DRIVER: Driver = Driver {
    spec: &claude_code::AGENT,
    program: Program {
        command: "claude",
        variable: "PULLYARD_CLAUDE_CODE",
        package: ("@anthropic-ai", "claude-code"),
        find_in_package: |package: &Path| executable_file(package.join("claude")),
        check_version: |_| Ok(()),
    },
    instruction_files: &["CLAUDE.md", "AGENTS.md"],
    token_file: "claude/.credentials.json",
    session: session::SESSION,
    create: |program, environment, isolation| Box::new(ClaudeCode::new(program, environment, isolation)),
};

const PROFILE: HostProfile = HostProfile {
    folder: ".claude",
    entries: &[
        "CLAUDE.md",
        "agents",
        "commands",
        "hooks",
        "output-styles",
        "plugins",
        "rules",
        "settings.json",
        "skills",
    ],
};

const ANTHROPIC_KEY: &str = ModelKey::AnthropicApiKey.spec().variable;
const CLAUDE_TOKEN: &str = ModelKey::ClaudeToken.spec().variable;
const ANTHROPIC_URL: &str = Provider::Anthropic.spec().url_variable;

/// Tools for files and commands. None calls out, waits for a clock, or moves the work to another folder.
const TOOLS: &str = "Bash,Edit,Glob,Grep,NotebookEdit,Read,Task,TaskCreate,TaskGet,TaskList,TaskUpdate,TodoWrite,Write";

/// Tools for reading files and writing the output. Without a sandbox, a command could change anything.
const READING_TOOLS: &str = "Glob,Grep,Read,TodoWrite,Write";

/// Settings that allow calls to the model only, no memory, and no background work that outlives the run.
const PINNED_ENVIRONMENT: &[(&str, &str)] = &[
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("DISABLE_UPDATES", "1"),
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
    ("CLAUDE_CODE_DISABLE_CRON", "1"),
    // Otherwise the prompt contains the newest commits, which others wrote, and instructions for commits.
    ("CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS", "1"),
    // Versions that know this variable read no file that a prompt names. `prompt_escape` covers the others.
    ("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1"),
    // Offer all tools at once. Otherwise 2.1.330 offers its model a useless tool instead of some others.
    ("ENABLE_TOOL_SEARCH", "false"),
    // Claude Code reports the end of an account limit in its local time.
    ("TZ", "UTC"),
    // The runner retries as well, after longer pauses, and reports that to users.
    ("CLAUDE_CODE_MAX_RETRIES", "3"),
    ("API_TIMEOUT_MS", "600000"),
    // Builds and tests take longer than the default of two minutes for a command.
    ("BASH_DEFAULT_TIMEOUT_MS", "300000"),
    ("BASH_MAX_TIMEOUT_MS", "1800000"),
];

/// Linux limits one argument to 128 KiB.
const MAX_INSTRUCTIONS_BYTES: usize = 96 * 1024;

const INTERRUPT: &str = r#"{"type":"control_request","request_id":"stop","request":{"subtype":"interrupt"}}"#;

struct ClaudeCode {
    program: PathBuf,
    env: Vec<(&'static str, OsString)>,
    isolation: Isolation,
}

impl ClaudeCode {
    fn new(program: PathBuf, environment: &Environment<'_>, isolation: Isolation) -> Self {
        let mut env = environment.network(isolation);
        env.extend(environment.select(&[ANTHROPIC_KEY, ANTHROPIC_URL, CLAUDE_TOKEN]));
        Self { program, env, isolation }
    }
}

impl Adapter for ClaudeCode {
    fn model_upstream(&self) -> Result<Option<Upstream>, String> {
        let value = |name: &str| self.env.iter().find(|(variable, _)| *variable == name)?.1.to_str();
        let key = match (value(ANTHROPIC_KEY), value(CLAUDE_TOKEN)) {
            (Some(key), _) => Key::ApiKey(key.to_owned()),
            (None, Some(token)) => Key::Bearer(token.to_owned()),
            (None, None) => return Ok(None),
        };
        let base_url = value(ANTHROPIC_URL).unwrap_or(Provider::Anthropic.spec().url).to_owned();
        Ok(Some(Upstream { provider: Provider::Anthropic, base_url, key }))
    }

    fn prepare(&mut self, start: &StartInput<'_>) -> io::Result<Launch> {
        // Claude Code finds a session only with the same settings folder and the same working folder.
        let config = start.home.join("claude");
        // Replaces a file or a link that an earlier agent put here. Claude Code then reports the lost session.
        create_private_dir(&config)?;
        let tools = match (start.writes, self.isolation) {
            (AgentWrites::OutputFile, Isolation::None) => READING_TOOLS,
            (AgentWrites::OutputFile | AgentWrites::Tree, _) => TOOLS,
        };
        let (sources, tools) = match &start.host_home {
            Some(host_home) => {
                PROFILE.copy(host_home, &config)?;
                // Hooks name their scripts by `~/.claude`.
                let link = start.home.join(PROFILE.folder);
                remove_entry(&link)?;
                symlink(&config, link)?;
                ("user", &*format!("{tools},Skill"))
            }
            None => ("", tools),
        };
        let mut args: Vec<OsString> = [
            "-p",
            "--input-format",
            "stream-json",
            "--output-format",
            "stream-json",
            "--verbose",
            "--include-partial-messages",
            // Claude Code repeats each input when it sends the input to the model.
            "--replay-user-messages",
            // The repository's own settings may run hooks, start servers and send the key elsewhere.
            "--setting-sources",
            sources,
            "--strict-mcp-config",
            "--permission-mode",
            "acceptEdits",
            "--tools",
            tools,
            "--allowedTools",
            tools,
        ]
        .map(OsString::from)
        .to_vec();
        // Name and value form one argument, so that no value is parsed as an option.
        let mut option = |name: &str, value: String| args.push(OsString::from(format!("{name}={value}")));
        match start.session {
            Some(session) => option("--resume", session.to_owned()),
            None => option("--session-id", ids::new_uuid()),
        }
        if let Some(model) = start.model {
            option("--model", model.to_owned());
        }
        if let Some(turns) = start.remaining_turns {
            option("--max-turns", turns.to_string());
        }
        if let Some(micros) = start.remaining_cost {
            option("--max-budget-usd", format_usd_exact(micros));
        }
        if !start.instructions.is_empty() {
            let end = start.instructions.floor_char_boundary(MAX_INSTRUCTIONS_BYTES);
            let instructions = start.instructions.get(..end).unwrap_or_default();
            option("--append-system-prompt", instructions.to_owned());
        }
        let mut env = self.env.clone();
        if let Some(port) = start.model_port {
            // The placeholder uses the variable of the real credential, because the variable's name determines the
            // request's headers.
            for (name, value) in &mut env {
                if matches!(*name, ANTHROPIC_KEY | CLAUDE_TOKEN) {
                    *value = PLACEHOLDER_KEY.into();
                }
            }
            env.retain(|(name, _)| *name != ANTHROPIC_URL);
            env.push((ANTHROPIC_URL, format!("http://127.0.0.1:{port}").into()));
        }
        env.extend(PINNED_ENVIRONMENT.iter().map(|(name, value)| (*name, OsString::from(value))));
        env.push(("CLAUDE_CONFIG_DIR", config.into()));
        Ok(Launch {
            program: self.program.clone(),
            args,
            env,
            input: encode_user_message(start.prompt, &ids::new_uuid()),
            input_encoder: Some(InputEncoder { interrupt: INTERRUPT, encode_messages: encode_user_message }),
            reader: Box::new(StreamJsonParser::new(start.tree)),
            side_events: None,
        })
    }
}

/// A user message as one line of input. Claude Code skips an id that its session already has.
fn encode_user_message(text: &str, id: &str) -> Vec<u8> {
    let message = json!({
        "type": "user",
        "uuid": id,
        "message": {"role": "user", "content": [{"type": "text", "text": prompt_escape::escape_for_claude_code(text)}]},
    });
    format!("{message}\n").into_bytes()
}

#[cfg(test)]
pub(in crate::agent) fn test_reader(tree: &std::path::Path) -> impl crate::agent::adapter::LineParser + use<> {
    StreamJsonParser::new(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host_profile::HostHome;
    use crate::secrets::redact::Redactor;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn launch(change: impl FnOnce(&mut StartInput<'_>)) -> Launch {
        let home = tempfile::tempdir().unwrap();
        launch_in(home.path(), change)
    }

    fn launch_in<'a>(home: &'a Path, change: impl FnOnce(&mut StartInput<'a>)) -> Launch {
        let read = |name: &str| match name {
            "ANTHROPIC_API_KEY" => Some("sk-test".into()),
            "HTTPS_PROXY" => Some("http://proxy".into()),
            "AWS_SECRET_ACCESS_KEY" => Some("never".into()),
            _ => None,
        };
        let mut claude = ClaudeCode::new("/bin/claude".into(), &Environment::from_fn(&read), Isolation::None);
        let mut start = StartInput {
            writes: AgentWrites::Tree,
            prompt: "Fix \"it\".\nNow.",
            instructions: "",
            session: None,
            model: None,
            remaining_turns: None,
            remaining_cost: None,
            home,
            host_home: None,
            tree: Path::new("/workspace"),
            model_port: None,
        };
        change(&mut start);
        claude.prepare(&start).unwrap()
    }

    fn value(launch: &Launch, option: &str) -> Option<String> {
        let mut args = launch.args.iter().map(|arg| arg.to_str().unwrap());
        let at = args.find(|arg| *arg == option || arg.starts_with(&format!("{option}=")))?;
        at.split_once('=').map(|(_, value)| value).or_else(|| args.next()).map(str::to_owned)
    }

    #[test]
    fn profile_of_the_user_adds_its_settings_and_skills_only() {
        let home = tempfile::tempdir().unwrap();
        let host = home.path().join("ci");
        fs::create_dir_all(host.join(".claude")).unwrap();
        fs::write(host.join(".claude/CLAUDE.md"), "Use tabs.").unwrap();
        let redactor = Redactor::new([]);
        let host_home = HostHome { path: &host, redactor: &redactor, log: &|line| panic!("{line}") };
        let launch = launch_in(home.path(), |start| start.host_home = Some(host_home));
        assert_eq!(value(&launch, "--setting-sources").as_deref(), Some("user"));
        assert_eq!(value(&launch, "--tools").unwrap(), format!("{TOOLS},Skill"));
        assert!(launch.args.iter().any(|arg| arg == "--strict-mcp-config"));
        assert_eq!(fs::read_to_string(home.path().join(".claude/CLAUDE.md")).unwrap(), "Use tabs.");
    }

    #[test]
    fn launch_ignores_repository_settings_and_skips_no_permission() {
        let launch = launch(|_| ());
        assert_eq!(value(&launch, "--setting-sources").as_deref(), Some(""));
        assert!(launch.args.iter().any(|arg| arg == "--strict-mcp-config"));
        assert_eq!(value(&launch, "--permission-mode").as_deref(), Some("acceptEdits"));
        assert!(launch.args.iter().all(|arg| !arg.to_string_lossy().contains("dangerously")));
        let tools = value(&launch, "--tools").unwrap();
        for tool in ["WebFetch", "WebSearch", "ScheduleWakeup", "EnterWorktree"] {
            assert!(!tools.contains(tool), "{tool}");
        }
        let names: Vec<_> = launch.env.iter().map(|(name, _)| *name).collect();
        for name in ["CLAUDE_CONFIG_DIR", "DISABLE_TELEMETRY", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] {
            assert!(names.contains(&name), "{name}");
        }
        assert!(names.contains(&"ANTHROPIC_API_KEY") && names.contains(&"HTTPS_PROXY"));
        assert!(!names.contains(&"AWS_SECRET_ACCESS_KEY") && !names.contains(&"CLAUDE_CODE_SUBPROCESS_ENV_SCRUB"));
    }

    #[test]
    fn agent_that_reports_runs_commands_only_in_a_sandbox() {
        let tools = |isolation, writes| {
            let home = tempfile::tempdir().unwrap();
            let mut agent = ClaudeCode { program: "claude".into(), env: Vec::new(), isolation };
            let mut launch = None;
            launch_in(home.path(), |start| {
                start.writes = writes;
                launch = agent.prepare(start).ok();
            });
            value(&launch.unwrap(), "--allowedTools").unwrap()
        };
        assert_eq!(tools(Isolation::None, AgentWrites::OutputFile), READING_TOOLS);
        assert_eq!(tools(Isolation::Bubblewrap, AgentWrites::OutputFile), TOOLS);
        assert_eq!(tools(Isolation::None, AgentWrites::Tree), TOOLS);
    }

    #[test]
    fn link_or_file_at_its_config_folder_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let [home, elsewhere] = ["home", "elsewhere"].map(|name| dir.path().join(name));
        [&home, &elsewhere].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let config = home.join("claude");
        symlink(&elsewhere, &config).unwrap();
        launch_in(&home, |_| ());
        assert!(config.symlink_metadata().unwrap().is_dir() && elsewhere.is_dir());

        fs::remove_dir(&config).unwrap();
        fs::write(&config, "mine").unwrap();
        launch_in(&home, |_| ());
        assert!(config.symlink_metadata().unwrap().is_dir());

        // The session continues from the files in an existing folder.
        fs::write(config.join("session"), "kept").unwrap();
        launch_in(&home, |_| ());
        assert_eq!(fs::read_to_string(config.join("session")).unwrap(), "kept");
    }

    #[test]
    fn value_like_an_option_is_passed_as_a_value() {
        let option = "--dangerously-skip-permissions";
        let launch = launch(|start| {
            start.model = Some(option);
            start.session = Some(option);
            start.instructions = option;
        });
        assert!(launch.args.iter().all(|arg| arg != option));
        for name in ["--model", "--resume", "--append-system-prompt"] {
            assert_eq!(value(&launch, name).as_deref(), Some(option), "{name}");
        }
    }

    #[test]
    fn instructions_are_cut_to_the_argument_limit() {
        let long: &str = format!("x{}", "ü".repeat(64 * 1024)).leak();
        let launch = launch(|start| start.instructions = long);
        let instructions = value(&launch, "--append-system-prompt").unwrap();
        // The cut is at a character boundary.
        assert_eq!(instructions.len(), MAX_INSTRUCTIONS_BYTES - 1);
        assert!(long.starts_with(&instructions));
        assert!(launch.args.iter().all(|arg| arg.len() < 128 * 1024));
    }

    #[test]
    fn prompt_is_one_input_line_and_no_argument() {
        let launch = launch(|_| ());
        let input = String::from_utf8(launch.input.clone()).unwrap();
        assert_eq!(input.matches('\n').count(), 1);
        let message: serde_json::Value = serde_json::from_str(&input).unwrap();
        assert_eq!(message["message"]["content"][0]["text"], "Fix \"it\".\nNow.");
        assert!(launch.args.iter().all(|arg| !arg.to_string_lossy().contains("Fix")));
    }

    #[test]
    fn file_mentions_in_prompt_and_inputs_are_escaped() {
        let launch = launch(|start| start.prompt = "> @/etc/passwd");
        let input_line = encode_user_message("> @/etc/passwd", "m1");
        for input in [&launch.input, &input_line] {
            let message: serde_json::Value = serde_json::from_slice(input).unwrap();
            let text = message["message"]["content"][0]["text"].as_str().unwrap();
            assert!(text.ends_with("> \u{2060}@/etc/passwd"), "{text}");
        }
        assert!(launch.env.iter().any(|(name, value)| *name == "CLAUDE_CODE_DISABLE_FILE_MENTIONS" && value == "1"));
    }

    #[test]
    fn limits_model_and_session_are_passed_as_options() {
        let first = launch(|start| {
            start.model = Some("opus");
            start.remaining_turns = Some(7);
            start.remaining_cost = Some(1_250_000);
            start.instructions = "Use tabs.";
        });
        for (option, expected) in [
            ("--model", "opus"),
            ("--max-turns", "7"),
            ("--max-budget-usd", "1.25"),
            ("--append-system-prompt", "Use tabs."),
        ] {
            assert_eq!(value(&first, option).as_deref(), Some(expected), "{option}");
        }
        assert_eq!(value(&first, "--resume"), None);
        let session = value(&first, "--session-id").unwrap();
        assert_eq!(session.len(), 36);
        assert_eq!(session.get(14..15), Some("4"));
        assert!(matches!(session.get(19..20), Some("8" | "9" | "a" | "b")), "{session}");
        let resumed = launch(|start| start.session = Some("abc"));
        assert_eq!((value(&resumed, "--resume").as_deref(), value(&resumed, "--session-id")), (Some("abc"), None));
    }
}
