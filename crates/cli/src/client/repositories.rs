//! `pullyard repos`.

use super::fault::Fault;
use super::session::Session;
use super::table::{Cell, Column, Table};
use clap::Subcommand;
use pullyard_domain::id::{IntegrationId, RepositoryName};
use pullyard_domain::project::Agent;
use pullyard_protocol::project::{AddRepository, Repository};
use std::process::ExitCode;

/// Connect repositories to a project.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard repos add acme/app --integration gh1 --agent-command ./agent.sh
  pullyard repos list")]
pub(crate) struct Repos {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Connect a repository, after asking its forge for it; the same again replaces its agent.
    #[command(after_help = "Examples:
  pullyard repos add acme/app --integration gh1 --agent-command ./agent.sh
  pullyard repos add acme/app --integration gh1 --agent-command sh -c 'claude -p < /dev/stdin'")]
    Add {
        /// Its name at the forge.
        #[arg(value_name = "OWNER/NAME")]
        name: RepositoryName,
        /// The forge it lives on.
        #[arg(long, value_name = "ID")]
        integration: IntegrationId,
        /// The agent's program and its arguments, up to the end of the line.
        #[arg(long, required = true, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND")]
        agent_command: Vec<String>,
    },
    /// List a project's repositories.
    #[command(after_help = "Examples:\n  pullyard repos list\n  pullyard repos list --project acme --json")]
    List,
}

impl Repos {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let project = session.project().await?;
        match self.command.unwrap_or(Command::List) {
            Command::List => {
                let found = session.api.repositories(&project).await?;
                if session.screen.is_json() {
                    session.screen.json(&found)?;
                } else {
                    show(session, &found.repositories)?;
                }
            }
            Command::Add { name, integration, agent_command } => {
                let agent = Agent { capability: "command".into(), command: agent_command };
                let made = session.api.add_repository(&project, &AddRepository { integration, name, agent }).await?;
                if session.screen.is_json() {
                    session.screen.json(&made)?;
                } else {
                    show(session, &[made])?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show(session: &Session, repositories: &[Repository]) -> Result<(), Fault> {
    let columns = [
        Column::Whole("REPOSITORY"),
        Column::Whole("INTEGRATION"),
        Column::Text("BRANCH"),
        Column::Text("AGENT COMMAND"),
    ];
    let mut table = Table::new(columns);
    for repository in repositories {
        table.row([
            Cell::same(repository.name.as_str()),
            Cell::same(repository.integration.as_str()),
            Cell::same(&repository.default_branch),
            Cell::same(repository.agent.command.join(" ")),
        ]);
    }
    table.show(&session.screen, "No repository is connected. Add one with `pullyard repos add OWNER/NAME`.")
}
