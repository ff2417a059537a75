//! Chooses the agent of an attempt.

use super::detect::{InstalledAgent, probe};
use super::driver::Driver;
use super::drivers::{DRIVERS, find_driver};
use super::environment::Environment;
use crate::Isolation;
use crate::stop::Stop;
use pullyard_domain::agent::{AUTO, COMMAND};
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::attempt::Assignment;

pub(crate) enum AgentChoice {
    Installed(InstalledAgent),
    /// The command from the repository's settings. Its program may be a file of the repository.
    Command,
}

impl AgentChoice {
    /// Whether the agent has sessions, reads inputs, and reports its end. If so, an exit code alone is no proof.
    pub(crate) fn has_sessions(&self) -> bool {
        matches!(self, Self::Installed(_))
    }

    pub(crate) fn capability(&self) -> &'static str {
        match self {
            Self::Installed(installed) => installed.driver.spec.code,
            Self::Command => COMMAND,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Installed(installed) => installed.driver.spec.name,
            Self::Command => "The agent",
        }
    }

    pub(super) fn version(&self) -> Option<String> {
        match self {
            Self::Installed(installed) => Some(installed.version.clone()),
            Self::Command => None,
        }
    }

    /// Files whose content on the base branch the agent gets as instructions. It ignores its worktree's copies.
    pub(super) fn instruction_files(&self) -> &'static [&'static str] {
        match self {
            Self::Installed(installed) => installed.driver.instruction_files,
            Self::Command => &[],
        }
    }

    pub(crate) fn describe(&self, isolation: Isolation) -> String {
        let version = self.version().map(|version| format!(" {version}")).unwrap_or_default();
        format!("{}{version}, isolation: {}", self.capability(), isolation.as_str())
    }
}

/// Finds the required agent; `job::prepare` calls this before it fetches the repository. `auto` prefers the agent that
/// worked in an earlier attempt, if it is usable here.
/// Errors: `AgentMissing`, with the names of the agents that were tried.
pub(crate) async fn choose_agent(
    assignment: &Assignment,
    checkpoint_agent: Option<&str>,
    environment: &Environment<'_>,
) -> Result<AgentChoice, Stop> {
    let capability = assignment.agent.capability.as_str();
    let resume_agent = assignment.resume.as_ref().and_then(|resume| resume.agent.as_deref());
    let earlier_agent = checkpoint_agent.or(resume_agent);
    let candidates: Vec<&Driver> = match capability {
        COMMAND => return Ok(AgentChoice::Command),
        AUTO => {
            let mut all = DRIVERS.to_vec();
            all.sort_by_key(|driver| Some(driver.spec.code) != earlier_agent);
            all
        }
        named => find_driver(named).into_iter().collect(),
    };
    let mut keyless = None;
    for driver in &candidates {
        match probe(driver, environment).await {
            Ok(installed) if driver.has_key(environment) => return Ok(AgentChoice::Installed(installed)),
            // Use an agent without a key if no other is usable: its own error says that it is not signed in.
            Ok(installed) => keyless = keyless.or(Some(installed)),
            Err(reason) => tracing::warn!("{} is not usable: {reason}", driver.spec.name),
        }
    }
    if let Some(installed) = keyless {
        return Ok(AgentChoice::Installed(installed));
    }
    let names: Vec<&str> = candidates.iter().map(|driver| driver.spec.name).collect();
    let agent = if names.is_empty() { capability.to_owned() } else { names.join(" or ") };
    Err(Failure::AgentMissing { agent, runner: "the runner".into() }.into())
}
