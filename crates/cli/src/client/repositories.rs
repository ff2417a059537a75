//! `pullyard repos`: connects, configures, tests, lists and deletes repositories.

mod commands;
mod local;
mod test;

use super::choices::choices;
use super::doctor::is_missing_here;
use crate::client::choices::agent_choices;
use crate::client::prelude::*;
use pullyard_domain::agent::{AUTO, Agent, COMMAND, ChoiceLevel, PROJECT, join_programs};
use pullyard_domain::project::hook::Ingress;
use pullyard_domain::project::labels::join_labels;
use pullyard_domain::text::id::{IntegrationId, ProjectId, RepositoryName};
use pullyard_protocol::hook::{RepositoryIngress, SetIngress};
use pullyard_protocol::project::{AddRepository, Repository};
use std::path::PathBuf;

/// Connect repositories to a project.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard repos add acme/app --integration gh1 --agent claude_code
  pullyard repos add acme/app --integration gh1 --agent codex --model gpt-5.2-codex
  pullyard repos add acme/app --integration gh1 --agent-command ./agent.sh
  pullyard repos add --path .
  pullyard repos test acme/app
  pullyard repos list
  pullyard repos delete acme/app")]
pub(crate) struct Repos {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Connect a repository; repeating it replaces its agent.
    #[command(after_help = "Examples:
  pullyard repos add acme/app --integration gh1 --agent claude_code
  pullyard repos add --path ~/src/shop --agent-command sh -c 'make format'")]
    Add {
        /// Name at the forge (default with --path: local/FOLDER).
        #[arg(value_name = "OWNER/NAME", required_unless_present = "path")]
        name: Option<RepositoryName>,
        /// Integration of its forge.
        #[arg(long, value_name = "ID", required_unless_present = "path", conflicts_with = "path")]
        integration: Option<IntegrationId>,
        /// Git repository on this machine, bare or checked out, for `pullyard up`; jobs push their branches into it.
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
        /// Let jobs change .github/workflows, whose files run with the repository's secrets.
        #[arg(long)]
        workflows: bool,
        /// Agent; auto is the first that is installed where a job runs and has a key, project the project's agent (the
        /// default).
        #[arg(long, value_name = "AGENT", value_parser = agent_choices(ChoiceLevel::Repository))]
        agent: Option<String>,
        /// Model name that the agent accepts (default: the agent's own).
        #[arg(long, value_name = "MODEL")]
        model: Option<String>,
        /// Program of the agent `command` with its arguments, to the end of the line.
        #[arg(long, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND")]
        agent_command: Vec<String>,
        #[command(flatten)]
        commands: commands::CommandArgs,
    },
    Set(commands::Set),
    /// Show or choose how Pullyard receives repository events: webhook, poll or both.
    ///
    /// Polling queries the forge every one to five minutes, as its limits allow.
    #[command(after_help = "Examples:\n  pullyard repos ingress acme/app\n  pullyard repos ingress acme/app poll")]
    Ingress {
        /// Repository.
        name: RepositoryName,
        /// Source of events (default: shows the current one).
        #[arg(ignore_case = true, value_parser = choices([("webhook", Ingress::Webhook), ("poll", Ingress::Poll), ("both", Ingress::Both)]))]
        ingress: Option<Ingress>,
    },
    /// Check which features work in a repository, and which permissions are missing.
    ///
    /// Changes nothing. Exits with 1 if jobs can't work there.
    #[command(after_help = "Examples:\n  pullyard repos test acme/app\n  pullyard repos test acme/app --json")]
    Test {
        /// Repository.
        #[arg(value_name = "OWNER/NAME")]
        name: RepositoryName,
    },
    /// Delete a repository from its project; its forge is not changed.
    ///
    /// New jobs no longer start in it. Refused while it has a running job, an open pull request that is linked to a
    /// ticket, or a hook of its own; the error names the obstacle and the remedy.
    #[command(
        after_help = "Examples:\n  pullyard repos delete acme/app\n  pullyard repos delete acme/app --yes --json"
    )]
    Delete {
        /// Repository.
        #[arg(value_name = "OWNER/NAME")]
        name: RepositoryName,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// List a project's repositories.
    #[command(after_help = "Examples:\n  pullyard repos list\n  pullyard repos list --project acme --json")]
    List,
}

impl Repos {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let project = session.project().await?;
        match self.command.unwrap_or(Command::List) {
            Command::List => {
                let answer = session.api.repositories(&project).await?;
                if session.screen.is_json() {
                    return session.screen.json(&answer);
                }
                let ingresses = session.api.ingresses(&project).await?.repositories;
                show(session, &answer.repositories, &ingresses)
            }
            Command::Ingress { name, ingress: None } => show_ingress(session, &project, &name).await,
            Command::Ingress { name, ingress: Some(ingress) } => {
                let answer = session.api.set_ingress(&project, &SetIngress { repository: name, ingress }).await?;
                let source = format::to_code(&answer.ingress);
                session.screen.report(&answer, &format!("Events of {} now arrive by {source}", answer.repository))
            }
            Command::Test { name } => test::test(session, &project, &name).await,
            Command::Delete { name, yes } => {
                confirm(&session.screen, yes, &format!("Delete {name} from {project}?"))?;
                let removed = session.api.remove_repository(&project, &name).await?;
                session.screen.report(&removed, &format!("Deleted {} from {project}", removed.name))?;
                if removed.was_default && !session.screen.is_json() {
                    session.screen.hint(&format!(
                        "{project} has no default repository; set one: \
                         pullyard settings set default_repository=OWNER/NAME --project {project}"
                    ));
                }
                Ok(())
            }
            Command::Set(set) => {
                let answer = set.apply(session, &project).await?;
                session.screen.show(&answer, |answer| show(session, std::slice::from_ref(answer), &[]))
            }
            Command::Add { name, integration, path, workflows, agent, model, agent_command, commands } => {
                let (name, integration) = match (path, name, integration) {
                    (Some(path), name, _) => {
                        let linked = local::link(session, &path, name)?;
                        local::check(&path, &agent_command)?;
                        linked
                    }
                    (None, Some(name), Some(integration)) => (name, integration),
                    (None, ..) => return Err(CliError::usage("give a repository and its --integration, or a --path")),
                };
                let default_capability = if agent_command.is_empty() { PROJECT } else { COMMAND };
                let capability = agent.unwrap_or_else(|| default_capability.into());
                let agent = Agent { capability, command: agent_command, model };
                let answer = session
                    .api
                    .add_repository(
                        &project,
                        &AddRepository {
                            workflows,
                            commands: commands.into_own_commands(),
                            ..AddRepository::new(integration, name, agent)
                        },
                    )
                    .await?;
                make_default_if_only(session, &project, &answer.name).await?;
                session.screen.show(&answer, |answer| show(session, std::slice::from_ref(answer), &[]))?;
                hint_missing_agent(session, &project, &answer.agent).await
            }
        }
    }
}

/// With `pullyard up`, jobs run on this machine, so that its programs show whether they can work.
async fn hint_missing_agent(session: &Session, project: &ProjectId, agent: &Agent) -> Result<(), CliError> {
    if session.data.is_none() || session.screen.is_json() {
        return Ok(());
    }
    let settings = session.api.project(project).await?.settings;
    let agent = agent.clone().resolve(&settings).capability;
    if settings.compute.uses_tasks() && is_missing_here(&agent) {
        let name = match agent == AUTO {
            true => format!("Neither {} is", join_programs(|agent| agent.code, " nor ")),
            false => format!("{agent} is not"),
        };
        session.screen.warn(&format!("{name} installed on this machine, so jobs fail"));
        session
            .screen
            .hint("install it, or let a script work: `pullyard repos add --path DIR --agent-command ./agent.sh`");
    }
    Ok(())
}

async fn show_ingress(session: &Session, project: &ProjectId, name: &RepositoryName) -> Result<(), CliError> {
    let repositories = session.api.ingresses(project).await?.repositories;
    let state = repositories.into_iter().find(|state| state.repository == *name);
    let state = state.ok_or_else(|| {
        CliError::not_found(format!("{project} has no repository {name}")).with_help("`pullyard repos list` lists them")
    })?;
    session.screen.show(&state, |state| session.screen.print_line(&format::to_code(&state.ingress)))
}

/// Makes the first repository the project's default, unless a concurrent change has set one.
async fn make_default_if_only(session: &Session, project: &ProjectId, name: &RepositoryName) -> Result<(), CliError> {
    let mut current = session.api.get_raw_project(project).await?;
    let default = &mut current.settings["default_repository"];
    if !default.is_null() || session.api.repositories(project).await?.repositories.len() != 1 {
        return Ok(());
    }
    *default = name.as_str().into();
    match session.api.set_settings(project, &current.settings, current.revision).await {
        Ok(_) => session.screen.note(&format!("{name} is now the default repository of {project}.")),
        Err(error) if error.is_precondition_failed() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn show(session: &Session, repositories: &[Repository], ingresses: &[RepositoryIngress]) -> Result<(), CliError> {
    let mut table = Table::new([
        Fixed("REPOSITORY"),
        Fixed("INTEGRATION"),
        Flexible("BRANCH"),
        Flexible("AGENT"),
        Flexible("CHECKS"),
        Fixed("RUNNING JOBS"),
        Fixed("LABELS"),
    ]);
    for repository in repositories {
        let state = ingresses.iter().find(|state| state.repository == repository.name);
        let cells = [
            Cell::text(&repository.name),
            Cell::text(&repository.integration),
            Cell::text(&repository.default_branch),
            Cell::text(describe_agent(&repository.agent)),
            checks_cell(repository.commands.checks.as_deref()),
            Cell::optional(repository.running_jobs.map(|max| format!("{max} at once"))),
            Cell::optional(Some(join_labels(&repository.labels)).filter(|labels| !labels.is_empty())),
        ];
        table.row_with(cells, &state.map(ingress_problem).unwrap_or_default());
    }
    table.show(&session.screen, "No repository is connected. Add one with `pullyard repos add`; its help has examples.")
}

fn ingress_problem(state: &RepositoryIngress) -> String {
    match (&state.gone_at, &state.problem) {
        (Some(_), _) => "The forge reports this repository as deleted or hidden from Pullyard's account.".to_owned(),
        (None, Some(problem)) => format!("Failed to fetch changes from the forge: {problem}."),
        (None, None) if state.archived => "It is archived at the forge: its jobs can't push.".to_owned(),
        (None, None) => String::new(),
    }
}

fn checks_cell(checks: Option<&[String]>) -> Cell {
    let checks = checks.map(|checks| if checks.is_empty() { "none".to_owned() } else { checks.join("; ") });
    Cell::optional(checks)
}

fn describe_agent(agent: &Agent) -> String {
    match (agent.capability.as_str(), &agent.model) {
        (COMMAND, _) => agent.command.join(" "),
        (capability, Some(model)) => format!("{capability} {model}"),
        (capability, None) => capability.to_owned(),
    }
}
