//! What a project's settings mean for a new job: its agent, commands, author and task.

use super::{Repository, Settings};
use crate::agent::{AUTO, Agent, PROJECT};
use crate::checks::{JobCommands, OwnCommands};
use crate::commits::{Author, Commits, EMAIL, NAME};
use crate::task::Task;

impl Agent {
    /// The agent that works where a repository of a project with these settings says this: itself, unless it leaves
    /// the choice to its project; then the project's with the project's model, or whichever is installed. The program
    /// stays known.
    pub fn under(self, settings: &Settings) -> Self {
        if self.capability != PROJECT {
            return self;
        }
        let capability = settings.agent.clone().unwrap_or_else(|| AUTO.into());
        Self { capability, model: settings.model.clone(), ..self }
    }
}

impl JobCommands {
    /// What a new job of this project on this repository has run; none where nothing is.
    pub fn of(settings: &Settings, repository: &Repository) -> Option<Self> {
        let (mut setup, mut checks) = (settings.setup.clone(), settings.checks.clone());
        let OwnCommands { setup: own_setup, checks: own_checks } = repository.commands.clone();
        setup.commands = own_setup.unwrap_or(setup.commands);
        checks.commands = own_checks.unwrap_or(checks.commands);
        let has_any = !setup.commands.is_empty() || !checks.commands.is_empty();
        has_any.then_some(Self { policy: settings.command_policy, setup, checks })
    }
}

impl Author {
    /// Of a project's commits; none where it is everybody's.
    pub fn of(settings: &Settings) -> Option<Self> {
        let Commits { name, email, .. } = &settings.commits;
        (name.is_some() || email.is_some()).then(|| Self {
            name: name.clone().unwrap_or_else(|| NAME.into()),
            email: email.clone().unwrap_or_else(|| EMAIL.into()),
        })
    }
}

impl Task {
    /// What new jobs of a project with these settings get.
    pub fn of(settings: &Settings) -> Self {
        Self { size: settings.task_size, capacity: settings.task_capacity }
    }
}
