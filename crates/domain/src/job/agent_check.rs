//! Decides before a job exists whether the project's jobs will find their agent and its key.

use crate::agent::{AUTO, Agent, COMMAND};
use crate::job::fleet::Member;
use crate::project::Project;
use crate::text::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAgent {
    pub capability: &'static str,
    pub has_key: bool,
}

impl LocalAgent {
    /// Whether the agent can work for this capability; each agent can for `auto`.
    pub fn works_as(&self, capability: &str) -> bool {
        capability == AUTO || capability == self.capability
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentCheck {
    /// The repository's command needs no model key.
    Command,
    Secrets(Vec<String>),
    LocalKey,
    Runners(Vec<String>),
    NoLocalProgram,
    NoKey,
    /// Self-hosted runners claim the project's jobs, but no online runner offers the agent.
    NoRunner,
}

impl AgentCheck {
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Command | Self::Secrets(_) | Self::LocalKey | Self::Runners(_))
    }
}

/// `agent`: the choice of repository and project. `members`: read only for a project with self-hosted runners.
/// `local`: the agents of this machine; `None` if tasks run from the image, which has all agents.
pub fn check_agent(
    project: &Project,
    agent: &Agent,
    members: &[Member],
    local: Option<&[LocalAgent]>,
    now: Timestamp,
) -> AgentCheck {
    let capability = agent.capability.as_str();
    if project.settings.compute.uses_runners() {
        return check_runners(project, capability, members, now);
    }
    if capability == COMMAND {
        return AgentCheck::Command;
    }
    let installed = local.map(|all| all.iter().filter(|local| local.works_as(capability)).collect::<Vec<_>>());
    let secrets = project.settings.model_secrets.iter().filter(|(key, _)| match &installed {
        Some(installed) => installed.iter().any(|local| key.supports_capability(local.capability)),
        None => key.supports_capability(capability),
    });
    let secrets: Vec<_> = secrets.map(|(_, secret)| secret.to_owned()).collect();
    match installed {
        Some(installed) if installed.is_empty() => AgentCheck::NoLocalProgram,
        _ if !secrets.is_empty() => AgentCheck::Secrets(secrets),
        Some(installed) if installed.iter().any(|local| local.has_key) => AgentCheck::LocalKey,
        _ => AgentCheck::NoKey,
    }
}

fn check_runners(project: &Project, capability: &str, members: &[Member], now: Timestamp) -> AgentCheck {
    let capable = members.iter().filter(|Member { runner, profile }| {
        let accepts = runner.is_online(now) && !runner.is_draining() && profile.includes_project(&project.id);
        accepts && profile.capabilities.contains(capability)
    });
    let names: Vec<_> = capable.map(|member| member.profile.name.clone()).collect();
    if names.is_empty() { AgentCheck::NoRunner } else { AgentCheck::Runners(names) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{CLAUDE_CODE, CODEX};
    use crate::project::Settings;
    use crate::text::id::ProjectId;

    fn check(capability: &str, secret: Option<&str>, local: Option<&[LocalAgent]>) -> AgentCheck {
        let mut settings = Settings::default();
        settings.model_secrets.openai_api_key = secret.map(str::to_owned);
        let project =
            Project { id: ProjectId::new("shop").unwrap(), name: "Shop".into(), settings, deleted_number: 0, rev: 1 };
        let agent = Agent { capability: capability.into(), command: Vec::new(), model: None };
        check_agent(&project, &agent, &[], local, Timestamp::from_millis(0))
    }

    #[test]
    fn task_needs_the_program_and_a_key() {
        let local = |capability, has_key| [LocalAgent { capability, has_key }];
        let key = || AgentCheck::Secrets(vec!["pullyard/job/k".into()]);
        let secret = Some("pullyard/job/k");
        assert_eq!(check(COMMAND, None, Some(&[])), AgentCheck::Command);
        assert_eq!(check(CODEX, secret, None), key());
        assert_eq!(check(AUTO, secret, None), key());
        assert_eq!(check(CLAUDE_CODE, secret, None), AgentCheck::NoKey);
        assert_eq!(check(CODEX, secret, Some(&[])), AgentCheck::NoLocalProgram);
        assert_eq!(check(CODEX, secret, Some(&local(CLAUDE_CODE, true))), AgentCheck::NoLocalProgram);
        assert_eq!(check(CODEX, secret, Some(&local(CODEX, false))), key());
        assert_eq!(check(AUTO, secret, Some(&local(CLAUDE_CODE, false))), AgentCheck::NoKey);
        assert_eq!(check(AUTO, None, Some(&local(CLAUDE_CODE, true))), AgentCheck::LocalKey);
        assert!(!AgentCheck::NoKey.is_ready() && key().is_ready());
    }
}
