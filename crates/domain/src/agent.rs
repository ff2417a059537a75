//! Which agent works on a job, and what it proves itself with to its model.

use serde::{Deserialize, Serialize};

/// Drives any program by its output.
pub const COMMAND: &str = "command";
/// Anthropic's Claude Code.
pub const CLAUDE_CODE: &str = "claude_code";
/// OpenAI's Codex.
pub const CODEX: &str = "codex";
/// The first of Claude Code and Codex that is installed where the job runs.
pub const AUTO: &str = "auto";
/// Every agent that can be chosen.
pub const AGENTS: [&str; 4] = [CLAUDE_CODE, CODEX, AUTO, COMMAND];

/// The most arguments of a command.
const MOST_ARGUMENTS: usize = 50;
/// All of them together. Units: bytes.
const LONGEST_COMMAND: usize = 4_096;
/// Units: bytes.
const LONGEST_MODEL: usize = 100;

/// Which agent works on a repository.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// What a runner must be able to drive: `claude_code`, `codex`, `command`, or `auto` for the first of
    /// Claude Code and Codex that is installed where the job runs.
    pub capability: String,
    /// Program and arguments of `command`; a relative program is found in the repository. Empty for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The model to ask for, as the agent names it; its own default if none. Not for `command`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// What is wrong with an agent: which field, and the fault in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFault {
    /// `capability`, `command` or `model`.
    pub field: &'static str,
    /// What.
    pub fault: String,
}

impl Agent {
    /// An agent that drives a program.
    pub fn command(command: Vec<String>) -> Self {
        Self { capability: COMMAND.into(), command, model: None }
    }

    /// Refuses agents that nobody could drive.
    pub fn check(&self) -> Result<(), AgentFault> {
        let fault = |field, fault: &str| Err(AgentFault { field, fault: fault.into() });
        if !AGENTS.contains(&self.capability.as_str()) {
            return fault("capability", &format!("choose one of {}", AGENTS.join(", ")));
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
        if self.command.len() > MOST_ARGUMENTS || bytes > LONGEST_COMMAND || has_nul {
            return fault(
                "command",
                &format!("use at most {MOST_ARGUMENTS} arguments of at most {LONGEST_COMMAND} bytes in all"),
            );
        }
        match &self.model {
            Some(model) if !is_model(model) => fault(
                "model",
                &format!(
                    "use at most {LONGEST_MODEL} letters, digits and any of .:/_@[]-, beginning with a letter or digit"
                ),
            ),
            _ => Ok(()),
        }
    }

    /// The agent that somebody chose for one job, where this one works as a rule. Its program stays known, so
    /// that `command` can be chosen where the repository has one.
    pub fn chosen(&self, capability: Option<&str>, model: Option<&str>) -> Result<Self, AgentFault> {
        let mut chosen = self.clone();
        if let Some(capability) = capability.filter(|wanted| *wanted != self.capability) {
            capability.clone_into(&mut chosen.capability);
            // Another agent's model is not this one's.
            chosen.model = None;
        }
        if let Some(model) = model {
            chosen.model = Some(model.to_owned());
        }
        chosen.check()?;
        Ok(chosen)
    }
}

/// A model's name ends up among an agent's arguments.
fn is_model(name: &str) -> bool {
    (1..=LONGEST_MODEL).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || ".:/_@[]-".contains(c))
}

/// What an agent proves itself with to its model.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKey {
    /// A key of Anthropic's API, for Claude Code.
    AnthropicApiKey,
    /// The token of a Claude subscription, as `claude setup-token` prints it.
    ClaudeToken,
    /// A key of OpenAI's API, for Codex.
    OpenaiApiKey,
    /// The whole `auth.json` of a Codex that is signed in to a subscription.
    CodexAuth,
}

/// The names of the secrets that a project has for agents' models.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSecrets {
    /// Of a key of Anthropic's API.
    pub anthropic_api_key: Option<String>,
    /// Of the token of a Claude subscription.
    pub claude_token: Option<String>,
    /// Of a key of OpenAI's API.
    pub openai_api_key: Option<String>,
    /// Of the `auth.json` of a Codex that is signed in.
    pub codex_auth: Option<String>,
}

impl ModelSecrets {
    /// Those that are named, and what they are.
    pub fn named(&self) -> impl Iterator<Item = (ModelKey, &str)> {
        let all = [
            (ModelKey::AnthropicApiKey, &self.anthropic_api_key),
            (ModelKey::ClaudeToken, &self.claude_token),
            (ModelKey::OpenaiApiKey, &self.openai_api_key),
            (ModelKey::CodexAuth, &self.codex_auth),
        ];
        all.into_iter().filter_map(|(key, secret)| Some((key, secret.as_deref()?)))
    }
}

impl ModelKey {
    /// Whether an agent of this capability uses it.
    pub fn is_for(self, capability: &str) -> bool {
        let agent = match self {
            Self::AnthropicApiKey | Self::ClaudeToken => CLAUDE_CODE,
            Self::OpenaiApiKey | Self::CodexAuth => CODEX,
        };
        capability == agent || capability == AUTO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(capability: &str, command: &[&str], model: Option<&str>) -> Agent {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Agent { capability: capability.into(), command, model: model.map(str::to_owned) }
    }

    fn check(agent: &Agent, expected: Option<&str>) {
        assert_eq!(agent.check().err().map(|bad| bad.field), expected, "{agent:?}");
    }

    #[test]
    fn an_agent_that_nobody_could_drive_is_refused_by_the_field_that_is_wrong() {
        check(&agent("command", &["./agent.sh"], None), None);
        check(&agent("claude_code", &[], None), None);
        check(&agent("codex", &[], Some("gpt-5.2-codex")), None);
        check(&agent("auto", &["./agent.sh"], Some("us.anthropic/claude:1[1m]")), None);
        check(&agent("gpt", &[], None), Some("capability"));
        check(&agent("command", &[], None), Some("command"));
        check(&agent("command", &[""], None), Some("command"));
        check(&agent("command", &["a\0b"], None), Some("command"));
        check(&agent("command", &["x"; 51], None), Some("command"));
        check(&agent("command", &["a"], Some("m")), Some("model"));
        for model in ["", "--flag", "a b", "a\n", "ü", &"m".repeat(101)] {
            check(&agent("codex", &[], Some(model)), Some("model"));
        }
    }

    #[test]
    fn a_choice_for_one_job_keeps_what_still_fits() {
        let rule = agent("claude_code", &["./agent.sh"], Some("opus"));
        let chosen = |capability, model| rule.chosen(capability, model);
        assert_eq!(chosen(None, None), Ok(rule.clone()));
        assert_eq!(chosen(Some("claude_code"), None), Ok(rule.clone()));
        assert_eq!(chosen(Some("codex"), None), Ok(agent("codex", &["./agent.sh"], None)));
        assert_eq!(chosen(None, Some("haiku")), Ok(agent("claude_code", &["./agent.sh"], Some("haiku"))));
        assert_eq!(chosen(Some("command"), None), Ok(agent("command", &["./agent.sh"], None)));
        assert_eq!(chosen(Some("command"), Some("m")).map_err(|bad| bad.field), Err("model"));
        assert_eq!(agent("codex", &[], None).chosen(Some("command"), None).map_err(|bad| bad.field), Err("command"));
    }

    #[test]
    fn a_key_is_for_its_own_agent_and_for_whichever_is_installed() {
        for (key, own, other) in [
            (ModelKey::AnthropicApiKey, CLAUDE_CODE, CODEX),
            (ModelKey::ClaudeToken, CLAUDE_CODE, CODEX),
            (ModelKey::OpenaiApiKey, CODEX, CLAUDE_CODE),
            (ModelKey::CodexAuth, CODEX, CLAUDE_CODE),
        ] {
            assert!(key.is_for(own) && key.is_for(AUTO), "{key:?}");
            assert!(!key.is_for(other) && !key.is_for(COMMAND), "{key:?}");
        }
    }
}
