//! Derives a new job's agent, commands, author and task from the project's settings.

use super::{Repository, Settings};
use crate::agent::checks::{CommandOverrides, JobCommands};
use crate::agent::{AUTO, Agent, PROJECT};
use crate::project::commits::{Author, CommitSettings, DEFAULT_EMAIL, DEFAULT_NAME};
use crate::project::task::Task;

impl Agent {
    /// Resolves `project` to the agent and model of these settings, or to `auto` if they name none. Others stay.
    pub fn resolve(self, settings: &Settings) -> Self {
        if self.capability != PROJECT {
            return self;
        }
        let capability = settings.agent.clone().unwrap_or_else(|| AUTO.into());
        Self { capability, model: settings.model.clone(), ..self }
    }
}

impl JobCommands {
    /// The commands around the agent; `None` if there are none. The repository's own commands replace the project's.
    pub fn from_settings(settings: &Settings, repository: &Repository) -> Option<Self> {
        let (mut setup, mut checks) = (settings.setup.clone(), settings.checks.clone());
        let CommandOverrides { setup: own_setup, checks: own_checks } = repository.commands.clone();
        setup.commands = own_setup.unwrap_or(setup.commands);
        checks.commands = own_checks.unwrap_or(checks.commands);
        let has_any = !setup.commands.is_empty() || !checks.commands.is_empty();
        has_any.then_some(Self { policy: settings.command_policy, setup, checks })
    }
}

impl Author {
    /// `None` for the default author.
    pub fn from_settings(settings: &Settings) -> Option<Self> {
        let CommitSettings { name, email, .. } = &settings.commits;
        (name.is_some() || email.is_some()).then(|| Self {
            name: name.clone().unwrap_or_else(|| DEFAULT_NAME.into()),
            email: email.clone().unwrap_or_else(|| DEFAULT_EMAIL.into()),
        })
    }
}

impl Task {
    pub fn from_settings(settings: &Settings) -> Self {
        Self { size: settings.task_size, capacity: settings.task_capacity }
    }
}
