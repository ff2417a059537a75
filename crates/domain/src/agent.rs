//! Agents: which agent works on a job, how a project or repository chooses it, and the credentials for its model.

pub mod breaker;
pub mod checks;
pub mod claude_code;
pub mod codex;
mod command;
pub mod commands;
pub mod egress;
pub(crate) mod files;
pub mod key_check;
mod keys;
pub mod runner;

pub use keys::{KeyForm, KeySpec, ModelKey, ModelSecrets, Provider, ProviderSpec};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::path::Path;

pub const CLAUDE_CODE: &str = claude_code::AGENT.code;
pub const CODEX: &str = codex::AGENT.code;
pub const COMMAND: &str = command::AGENT.code;
/// The first agent that is installed where the job runs and has a key.
pub const AUTO: &str = "auto";
/// In the settings of a repository: use the project's agent. Replaced before a job is created.
pub const PROJECT: &str = "project";
/// All agents, in the order in which `auto` prefers them. The start of an attempt resolves `auto` to an agent.
pub const AGENTS: [&AgentSpec; 3] = [&claude_code::AGENT, &codex::AGENT, &command::AGENT];

/// The facts in which agents differ. Each agent has its own module.
#[derive(Debug)]
pub struct AgentSpec {
    pub code: &'static str,
    pub name: &'static str,
    /// Credentials of its model, the usual one first. Empty if it needs none.
    pub keys: &'static [ModelKey],
    /// Its needs, as a choice of users.
    pub needs: &'static str,
    /// The part of the image of tasks that has it.
    pub image: Option<ImageOption>,
}

#[derive(Debug)]
pub struct ImageOption {
    /// The image's label with the version.
    pub label: &'static str,
    /// The option of `infra/image/push` that installs it.
    pub option: &'static str,
}

impl AgentSpec {
    pub fn find(code: &str) -> Option<&'static Self> {
        AGENTS.into_iter().find(|agent| agent.code == code)
    }
}

/// The agents with a program of their own, which `auto` may choose.
pub fn list_programs() -> impl Iterator<Item = &'static AgentSpec> {
    AGENTS.into_iter().filter(|agent| agent.code != COMMAND)
}

/// The agents that `auto` may choose, in a sentence.
pub fn join_programs(name: fn(&AgentSpec) -> &'static str, separator: &str) -> String {
    list_programs().map(name).collect::<Vec<_>>().join(separator)
}

/// The place of a setting that chooses an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoiceLevel {
    Job,
    Repository,
    /// Only a repository has a command.
    Project,
}

pub fn choices(level: ChoiceLevel) -> Vec<&'static str> {
    let more: &[_] = match level {
        ChoiceLevel::Job => &[AUTO, COMMAND],
        ChoiceLevel::Repository => &[AUTO, COMMAND, PROJECT],
        ChoiceLevel::Project => &[AUTO],
    };
    list_programs().map(|agent| agent.code).chain(more.iter().copied()).collect()
}

const MAX_ARGUMENTS: usize = 50;
const MAX_COMMAND_BYTES: usize = 4_096;
const MAX_MODEL_BYTES: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The capability that a runner needs: the code of an agent (docs/agents.md lists them), or `auto` for the first
    /// that is installed where the job runs and has a key. A repository may use `project` for its project's agent, by
    /// default `auto`.
    pub capability: String,
    /// Program and arguments of `command`. A relative program is looked up in the repository. Empty for other agents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The model, by the agent's own name for it; if absent, the agent's default. Not allowed for `command` and
    /// `project`: the project sets its own model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFault {
    pub field: &'static str,
    pub message: String,
}

impl Agent {
    pub fn command(command: Vec<String>) -> Self {
        Self { capability: COMMAND.into(), command, model: None }
    }

    pub fn project_default() -> Self {
        Self { capability: PROJECT.into(), command: Vec::new(), model: None }
    }

    /// The program or argument of the command that is a file of the repository, which a job without a checkout does not
    /// have. An argument counts if it starts with `./` or `../`, or if an interpreter gets a relative path of a script.
    pub fn file_of_repository(&self) -> Option<&str> {
        let (program, arguments) = self.command.split_first().filter(|_| self.capability == COMMAND)?;
        if program.contains('/') && !program.starts_with('/') {
            return Some(program);
        }
        // A user may have written the program and its arguments in one line.
        let mut words = program.split_whitespace();
        let interpreter = words.next().and_then(|first| first.rsplit('/').next());
        let is_interpreter = interpreter.is_some_and(|name| INTERPRETERS.contains(&name));
        let is_above = |argument: &str| argument.starts_with("./") || argument.starts_with("../");
        let mut arguments = words.chain(arguments.iter().map(String::as_str));
        arguments.find(|argument| is_above(argument) || (is_interpreter && is_relative_script(argument)))
    }

    pub fn check_for_repository(&self) -> Result<(), AgentFault> {
        self.check_among(ChoiceLevel::Repository)
    }

    fn check_among(&self, level: ChoiceLevel) -> Result<(), AgentFault> {
        let choices = choices(level);
        let fault = |field, fault: &str| Err(AgentFault { field, message: fault.into() });
        if !choices.contains(&self.capability.as_str()) {
            return fault("capability", &format!("choose one of {}", choices.join(", ")));
        }
        if self.capability == PROJECT && self.model.is_some() {
            return fault("model", "a model needs an agent: set both here, or both for the project");
        }
        if self.capability == COMMAND {
            if self.model.is_some() {
                return fault("model", "a command has no model");
            }
            if self.command.first().is_none_or(String::is_empty) {
                return fault("command", "name a program");
            }
        }
        let bytes = self.command.iter().map(String::len).sum::<usize>();
        let has_nul = self.command.iter().any(|argument| argument.contains('\0'));
        if self.command.len() > MAX_ARGUMENTS || bytes > MAX_COMMAND_BYTES || has_nul {
            return fault(
                "command",
                &format!("use at most {MAX_ARGUMENTS} arguments of at most {MAX_COMMAND_BYTES} bytes in all"),
            );
        }
        match &self.model {
            Some(model) if !is_valid_model_name(model) => fault("model", &model_name_rule()),
            _ => Ok(()),
        }
    }

    /// Replaces the agent or the model. `None` keeps the current value, but a new agent drops the model of the old one.
    pub fn with_overrides(&self, capability: Option<&str>, model: Option<&str>) -> Self {
        let mut next = self.clone();
        if let Some(capability) = capability.filter(|requested| *requested != self.capability) {
            capability.clone_into(&mut next.capability);
            next.model = None;
        }
        if let Some(model) = model {
            next.model = Some(model.to_owned());
        }
        next
    }

    /// Applies a user's choice for one job. The repository's command is retained, so that the user may choose it.
    pub fn with_job_choice(&self, capability: Option<&str>, model: Option<&str>) -> Result<Self, AgentFault> {
        let chosen = self.with_overrides(capability, model);
        chosen.check_among(ChoiceLevel::Job)?;
        Ok(chosen)
    }
}

/// Extensions of files that an installed interpreter runs.
const SCRIPT_EXTENSIONS: [&str; 12] = ["bash", "cjs", "jar", "js", "lua", "mjs", "php", "pl", "py", "rb", "sh", "ts"];

/// Programs whose argument with such an extension is a script.
const INTERPRETERS: [&str; 13] =
    ["bash", "bun", "deno", "java", "lua", "node", "perl", "php", "python", "python3", "ruby", "sh", "tsx"];

fn is_relative_script(argument: &str) -> bool {
    // An option, a path elsewhere, a URL, or a script as text.
    let is_other = argument.starts_with(['/', '-', '~', '$'])
        || argument.contains("://")
        || argument.contains(char::is_whitespace);
    let extension = Path::new(argument).extension().and_then(OsStr::to_str);
    !is_other && extension.is_some_and(|extension| SCRIPT_EXTENSIONS.contains(&extension))
}

pub(crate) fn model_name_rule() -> String {
    format!("use at most {MAX_MODEL_BYTES} letters, digits and any of .:/_@[]-, beginning with a letter or digit")
}

/// Restricts the characters, because the name becomes an argument of the agent.
pub(crate) fn is_valid_model_name(name: &str) -> bool {
    (1..=MAX_MODEL_BYTES).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || ".:/_@[]-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Settings, validate_change};

    fn agent(capability: &str, command: &[&str], model: Option<&str>) -> Agent {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Agent { capability: capability.into(), command, model: model.map(str::to_owned) }
    }

    fn check(agent: &Agent, expected: Option<&str>) {
        assert_eq!(agent.check_for_repository().err().map(|bad| bad.field), expected, "{agent:?}");
    }

    #[test]
    fn file_of_the_repository_is_found_in_the_command() {
        let check = |command: &[&str], file: Option<&str>| {
            assert_eq!(agent("command", command, None).file_of_repository(), file, "{command:?}");
        };
        check(&["./worker.py"], Some("./worker.py"));
        check(&["scripts/worker"], Some("scripts/worker"));
        check(&["python3", "worker.py"], Some("worker.py"));
        check(&["python3 worker.py"], Some("worker.py"));
        check(&["node", "--trace-warnings", "tools/worker.mjs"], Some("tools/worker.mjs"));
        check(&["bash", "./worker"], Some("./worker"));
        check(&["sh", "-c", "./worker --all"], Some("./worker --all"));
        check(&["java", "-jar", "../worker.jar"], Some("../worker.jar"));
        check(&["python3", "/opt/worker.py"], None);
        check(&["/opt/my tools/worker"], None);
        check(&["python3", "-m", "worker"], None);
        check(&["/usr/bin/python3", "worker.py"], Some("worker.py"));
        check(&["reviewer", "--rules", "rules.py"], None);
        check(&["deno", "run", "https://example.com/worker.ts"], None);
        check(&["lint", "--config=lint.js", "--ext", ".py"], None);
        check(&["sh", "-c", "cd /opt && python3 worker.py"], None);
        check(&["bash", "~/worker.sh", "notes.md"], None);
        assert_eq!(agent("claude_code", &["./worker.py"], None).file_of_repository(), None);
    }

    #[test]
    fn invalid_agent_is_rejected_with_the_faulty_field() {
        check(&agent("command", &["./agent.sh"], None), None);
        check(&agent("claude_code", &[], None), None);
        check(&agent("codex", &[], Some("gpt-5.2-codex")), None);
        check(&agent("auto", &["./agent.sh"], Some("us.anthropic/claude:1[1m]")), None);
        check(&agent("project", &["./agent.sh"], None), None);
        check(&agent("project", &[], Some("opus")), Some("model"));
        check(&agent("gpt", &[], None), Some("capability"));
        check(&agent("command", &[], None), Some("command"));
        check(&agent("command", &[""], None), Some("command"));
        check(&agent("command", &["a\0b"], None), Some("command"));
        check(&agent("command", &["x"; 51], None), Some("command"));
        check(&agent("command", &["a"], Some("m")), Some("model"));
        check(&agent("command", &["x"; 50], None), None);
        check(&agent("command", &["x", &"y".repeat(4_095)], None), None);
        check(&agent("command", &["x", &"y".repeat(4_096)], None), Some("command"));
        check(&agent("codex", &[], Some(&"m".repeat(100))), None);
        for model in ["", "--flag", "a b", "a\n", "ü", &"m".repeat(101)] {
            check(&agent("codex", &[], Some(model)), Some("model"));
        }
    }

    #[test]
    fn job_choice_keeps_the_fields_that_still_fit() {
        let rule = agent("claude_code", &["./agent.sh"], Some("opus"));
        let chosen = |capability, model| rule.with_job_choice(capability, model);
        assert_eq!(chosen(None, None), Ok(rule.clone()));
        assert_eq!(chosen(Some("claude_code"), None), Ok(rule.clone()));
        assert_eq!(chosen(Some("codex"), None), Ok(agent("codex", &["./agent.sh"], None)));
        assert_eq!(chosen(None, Some("haiku")), Ok(agent("claude_code", &["./agent.sh"], Some("haiku"))));
        assert_eq!(chosen(Some("command"), None), Ok(agent("command", &["./agent.sh"], None)));
        assert_eq!(chosen(Some("command"), Some("m")).map_err(|bad| bad.field), Err("model"));
        assert_eq!(
            agent("codex", &[], None).with_job_choice(Some("command"), None).map_err(|bad| bad.field),
            Err("command")
        );
        assert_eq!(chosen(Some("project"), None).map_err(|bad| bad.field), Err("capability"), "not an agent");
    }

    type AgentAndModel = (Option<&'static str>, Option<&'static str>);

    fn settings((agent, model): AgentAndModel) -> Settings {
        Settings { agent: agent.map(str::to_owned), model: model.map(str::to_owned), ..Settings::default() }
    }

    #[track_caller]
    fn check_choice(
        job: AgentAndModel,
        repository: (&str, Option<&str>),
        project: AgentAndModel,
        expected: (&str, Option<&str>),
    ) {
        let repository = agent(repository.0, &["./agent.sh"], repository.1);
        let chosen = repository.resolve(&settings(project)).with_job_choice(job.0, job.1);
        assert_eq!(chosen, Ok(agent(expected.0, &["./agent.sh"], expected.1)));
    }

    #[test]
    fn agent_is_chosen_by_job_then_repository_then_project() {
        let (own, inherits, none) = (("codex", Some("gpt-5")), ("project", None), (None, None));
        let project = (Some("claude_code"), Some("opus"));
        check_choice(none, inherits, none, ("auto", None));
        check_choice(none, inherits, (Some("claude_code"), None), ("claude_code", None));
        check_choice(none, inherits, project, ("claude_code", Some("opus")));
        check_choice(none, inherits, (Some("auto"), Some("opus")), ("auto", Some("opus")));
        check_choice(none, own, none, ("codex", Some("gpt-5")));
        check_choice(none, own, project, ("codex", Some("gpt-5")));
        check_choice((Some("auto"), None), own, project, ("auto", None));
        check_choice((Some("auto"), None), inherits, project, ("auto", None));
        check_choice((Some("command"), None), inherits, project, ("command", None));
        check_choice((Some("codex"), Some("gpt-6")), inherits, project, ("codex", Some("gpt-6")));
    }

    #[test]
    fn model_applies_only_to_the_agent_it_was_named_for() {
        let (inherits, none) = (("project", None), (None, None));
        let project = (Some("claude_code"), Some("opus"));
        check_choice((None, Some("haiku")), inherits, project, ("claude_code", Some("haiku")));
        check_choice((None, Some("haiku")), inherits, none, ("auto", Some("haiku")));
        check_choice((Some("claude_code"), None), inherits, project, ("claude_code", Some("opus")));
        check_choice((Some("codex"), None), inherits, project, ("codex", None));
        // A repository that names an agent without a model uses that agent's default model.
        check_choice(none, ("codex", None), project, ("codex", None));
        check_choice(none, ("claude_code", None), project, ("claude_code", None));
        check_choice((Some("claude_code"), None), ("codex", Some("gpt-5")), project, ("claude_code", None));
    }

    fn check_project(project: AgentAndModel, expected: Result<(), &str>) {
        assert_eq!(settings(project).validate().map_err(|bad| bad.pointer), expected, "{project:?}");
    }

    #[test]
    fn project_agent_needs_no_command_and_a_model_needs_an_agent() {
        check_project((None, None), Ok(()));
        for agent in choices(ChoiceLevel::Project) {
            check_project((Some(agent), None), Ok(()));
            check_project((Some(agent), Some("opus")), Ok(()));
            check_project((Some(agent), Some("--help")), Err("/model"));
        }
        for agent in ["command", "project", "gpt", "", "Codex"] {
            check_project((Some(agent), None), Err("/agent"));
        }
        check_project((None, Some("opus")), Err("/model"));
    }

    #[test]
    fn changing_the_project_agent_rejects_the_same_model() {
        let check = |before, after, expected: Result<(), &str>| {
            let changed = validate_change(&settings(before), &settings(after));
            assert_eq!(changed.map_err(|bad| bad.pointer), expected, "{before:?} to {after:?}");
        };
        let (claude, codex) = (Some("claude_code"), Some("codex"));
        check((claude, Some("opus")), (codex, Some("opus")), Err("/model"));
        check((claude, Some("opus")), (codex, Some("gpt-5")), Ok(()));
        check((claude, Some("opus")), (codex, None), Ok(()));
        check((claude, Some("opus")), (claude, Some("opus")), Ok(()));
        check((claude, Some("opus")), (None, None), Ok(()));
        check((claude, None), (codex, Some("gpt-5")), Ok(()));
        check((None, None), (codex, Some("gpt-5")), Ok(()));
    }

    #[test]
    fn key_serves_its_own_agent_and_auto() {
        for (key, own, other) in [
            (ModelKey::AnthropicApiKey, CLAUDE_CODE, CODEX),
            (ModelKey::ClaudeToken, CLAUDE_CODE, CODEX),
            (ModelKey::OpenaiApiKey, CODEX, CLAUDE_CODE),
            (ModelKey::CodexAuth, CODEX, CLAUDE_CODE),
        ] {
            assert!(key.supports_capability(own) && key.supports_capability(AUTO), "{key:?}");
            assert!(!key.supports_capability(other) && !key.supports_capability(COMMAND), "{key:?}");
        }
    }
}
