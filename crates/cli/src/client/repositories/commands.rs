//! `pullyard repos set`, and its flags in `repos add`: sets a repository's agent and commands.

use crate::client::choices::agent_choices;
use crate::client::prelude::*;
use pullyard_domain::agent::ChoiceLevel;
use pullyard_domain::agent::checks::CommandOverrides;
use pullyard_domain::project::labels::{FORGE_TOKEN_LABEL, parse_labels};
use pullyard_domain::text::id::{ProjectId, RepositoryName};
use pullyard_domain::text::nearest::find_nearest;
use pullyard_protocol::project::{AddRepository, Repository};

/// Setup and check commands of a repository, which replace the project's.
#[derive(clap::Args, Debug)]
pub(super) struct CommandArgs {
    /// Command to run before the agent, instead of the project's `setup.commands`; can be repeated.
    #[arg(long, value_name = "COMMAND")]
    setup: Vec<String>,
    /// Command that checks the agent's work, instead of the project's `checks.commands`; can be repeated.
    #[arg(long = "check", value_name = "COMMAND")]
    checks: Vec<String>,
}

impl CommandArgs {
    pub(super) fn into_own_commands(self) -> CommandOverrides {
        let non_empty = |lines: Vec<String>| (!lines.is_empty()).then_some(lines);
        CommandOverrides { setup: non_empty(self.setup), checks: non_empty(self.checks) }
    }
}

/// The token of the forge that a repository's jobs use.
#[derive(Clone, Copy, clap::ValueEnum, PartialEq, Eq)]
enum Credentials {
    Pullyard,
    Runner,
}

/// Set a repository's agent, setup, checks, limit, labels and credentials; other values stay.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard repos set acme/app --agent codex --model gpt-5.2-codex
  pullyard repos set acme/app --agent project
  pullyard repos set acme/app --setup 'npm ci' --check 'npm test' --check 'npm run lint'
  pullyard repos set acme/app --no-checks
  pullyard repos set acme/app --running-jobs 2
  pullyard repos set acme/app --labels gpu,eu
  pullyard repos set acme/app --credentials runner
  pullyard repos set acme/app --project-commands")]
pub(super) struct Set {
    /// Repository.
    #[arg(value_name = "OWNER/NAME")]
    name: RepositoryName,
    /// Agent; auto is the first that is installed where a job runs and has a key, project the project's agent.
    /// Changing the agent clears the model.
    #[arg(long, value_name = "AGENT", value_parser = agent_choices(ChoiceLevel::Repository))]
    agent: Option<String>,
    /// Model name that the agent accepts.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    commands: CommandArgs,
    /// Run no setup, even if the project has one.
    #[arg(long, conflicts_with = "setup")]
    no_setup: bool,
    /// Run no checks, even if the project has some.
    #[arg(long, conflicts_with = "checks")]
    no_checks: bool,
    /// Jobs of the repository that run at once, 1 to 100; 0 removes the limit.
    #[arg(long, value_name = "N")]
    running_jobs: Option<u32>,
    /// Labels that its new jobs require of a runner, besides the project's, separated by commas; empty removes them.
    /// Tasks on Fargate ignore them.
    #[arg(long, value_name = "A,B")]
    labels: Option<String>,
    /// Token of the forge that its new jobs use: the one of its integration, or that of their runner
    /// (PULLYARD_FORGE_TOKEN). The label `forge-token` then selects the runners.
    #[arg(long, value_name = "WHOSE", value_enum)]
    credentials: Option<Credentials>,
    /// Use the project's setup and checks.
    #[arg(long, conflicts_with_all = ["setup", "checks", "no_setup", "no_checks"])]
    project_commands: bool,
}

impl Set {
    pub(super) async fn apply(self, session: &Session, project: &ProjectId) -> Result<Repository, CliError> {
        let Self {
            name,
            agent,
            model,
            commands,
            no_setup,
            no_checks,
            running_jobs,
            labels,
            credentials,
            project_commands,
        } = self;
        let repositories = session.api.repositories(project).await?.repositories;
        let has_name = |repository: &Repository| repository.name.as_str().eq_ignore_ascii_case(name.as_str());
        let names = repositories.iter().map(|repository| repository.name.as_str());
        let help = match find_nearest(name.as_str(), names) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "`pullyard repos list` lists connected repositories".into(),
        };
        let missing = || CliError::not_found(format!("{name} is not connected to {project}")).with_help(help);
        let repository = repositories.into_iter().find(has_name).ok_or_else(missing)?;
        let own = commands.into_own_commands();
        let none = |none: bool| none.then(Vec::new);
        let commands = if project_commands {
            CommandOverrides::default()
        } else {
            CommandOverrides {
                setup: own.setup.or(none(no_setup)).or(repository.commands.setup),
                checks: own.checks.or(none(no_checks)).or(repository.commands.checks),
            }
        };
        let agent = repository.agent.with_overrides(agent.as_deref(), model.as_deref());
        let Repository { integration, name, workflows, labels: present, .. } = repository;
        let uses_runner = credentials.map_or(present.contains(FORGE_TOKEN_LABEL), |whose| whose == Credentials::Runner);
        if labels.as_deref().is_some_and(|labels| parse_labels(labels).contains(FORGE_TOKEN_LABEL)) {
            return Err(CliError::usage("use `--credentials runner` in place of the label forge-token"));
        }
        let labels = (labels.is_some() || credentials.is_some()).then(|| {
            let mut labels = labels.as_deref().map_or(present, parse_labels);
            labels.remove(FORGE_TOKEN_LABEL);
            labels.extend(uses_runner.then(|| FORGE_TOKEN_LABEL.to_owned()));
            labels
        });
        let changed = AddRepository { integration, name, agent, workflows, commands, running_jobs, labels };
        Ok(session.api.add_repository(project, &changed).await?)
    }
}
