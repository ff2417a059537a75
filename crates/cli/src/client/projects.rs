//! `pullyard projects`: lists, shows, creates, renames and deletes projects, and changes their columns.

mod columns;

use super::format::format_count;
use super::pages::hint_more;
use super::{budgets, hold};
use crate::client::choices::agent_choices;
use crate::client::prelude::*;
use columns::Columns;
use pullyard_domain::agent::ChoiceLevel;
use pullyard_domain::project::Settings;
use pullyard_domain::text::id::{ProjectId, RepositoryName};
use pullyard_protocol::client::Error;
use pullyard_protocol::project::{CreateProject, DeletedProject, Project, RenameProject};

/// List, show, create, rename and delete projects, and change their columns.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard projects list
  pullyard projects create acme --auto-create --default-repository acme/app
  pullyard projects use acme")]
pub(crate) struct Projects {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List the projects that the token can access.
    #[command(after_help = "Examples:\n  pullyard projects list\n  pullyard projects list --json")]
    List {
        /// Continue after the page that printed this cursor.
        #[arg(long, value_name = "CURSOR", value_parser = super::parse_cursor)]
        after: Option<String>,
    },
    /// Show a project.
    #[command(after_help = "Examples:\n  pullyard projects show\n  pullyard projects show acme")]
    Show {
        /// Project id.
        id: Option<ProjectId>,
    },
    /// Create a project (safe to repeat).
    #[command(after_help = "Examples:
  pullyard projects create acme
  pullyard projects create acme --name Acme --auto-create --default-repository acme/app
  pullyard projects create acme --agent claude_code --model opus")]
    Create {
        /// Project id.
        id: ProjectId,
        /// Display name (default: the id).
        #[arg(long)]
        name: Option<String>,
        /// Start a job for each ticket that enters the trigger status.
        #[arg(long)]
        auto_create: bool,
        /// Default repository of its tickets.
        #[arg(long, value_name = "OWNER/NAME")]
        default_repository: Option<RepositoryName>,
        /// Default agent of its repositories (default: auto, the first that is installed where a job runs and has a key).
        /// Change it with `pullyard settings set agent=…`.
        #[arg(long, value_name = "AGENT", value_parser = agent_choices(ChoiceLevel::Project))]
        agent: Option<String>,
        /// Model name that this agent accepts (default: the agent's own).
        #[arg(long, value_name = "MODEL", requires = "agent")]
        model: Option<String>,
    },
    /// Choose the project that commands use without --project.
    ///
    /// Saved in the context, for this server only.
    #[command(after_help = "Examples:\n  pullyard projects use acme\n  pullyard projects use acme --context work")]
    Use {
        /// Project id.
        id: ProjectId,
    },
    /// Change the display name of a project; its id stays.
    #[command(after_help = "Examples:\n  pullyard projects rename acme --name 'Acme Shop'")]
    Rename {
        /// Project id.
        id: ProjectId,
        /// New display name.
        #[arg(long)]
        name: String,
    },
    /// Delete a project with its settings and tickets; its jobs and decisions stay.
    ///
    /// Refused while a repository is connected, a hook names the project, or a job of it has not ended; the error names
    /// the obstacle and the remedy. If it is interrupted, repeat it. Tokens that are limited to the project stay valid:
    /// revoke them with `pullyard tokens revoke` before another project gets its id.
    #[command(after_help = "Examples:\n  pullyard projects delete acme\n  pullyard projects delete acme --yes --json")]
    Delete {
        /// Project id.
        id: ProjectId,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
    Columns(Columns),
}

impl Command {
    fn id(&self) -> Option<&ProjectId> {
        match self {
            Self::Show { id } => id.as_ref(),
            Self::Use { id } | Self::Rename { id, .. } | Self::Delete { id, .. } => Some(id),
            Self::List { .. } | Self::Create { .. } | Self::Columns(_) => None,
        }
    }
}

impl Projects {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let command = self.command.unwrap_or(Command::List { after: None });
        let typed = command.id().map(ProjectId::to_string);
        let result = run(session, command).await;
        session.suggest(result, typed.as_deref(), async || session.project_names().await).await
    }
}

async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::List { after } => list(session, after).await?,
        Command::Show { id } => {
            let id = match id {
                Some(id) => id,
                None => session.project().await?,
            };
            show(session, &session.api.project(&id).await?)?;
        }
        Command::Create { id, name, auto_create, default_repository, agent, model } => {
            let settings = Settings { auto_create, default_repository, agent, model, ..Settings::default() };
            let request = CreateProject { name: name.unwrap_or_else(|| id.to_string()), id, settings };
            let created = match session.api.create_project(&request).await {
                Err(Error::Problem(problem)) if problem.code == "taken" => {
                    match session.api.project(&request.id).await {
                        Ok(existing) if is_repeat(&request, &existing) => {
                            session.screen.note(&format!("{} already exists.", existing.id));
                            existing
                        }
                        _ => return Err(Error::Problem(problem).into()),
                    }
                }
                created => created?,
            };
            show(session, &created)?;
            let source = if session.data.is_some() { "--path DIR" } else { "OWNER/NAME --integration ID" };
            session.screen.hint(&format!("connect a repository with `pullyard repos add {source}`"));
        }
        Command::Use { id } => {
            let project = session.api.project(&id).await?;
            let context = session.save_project(&id)?;
            session.screen.report(&project, &format!("Commands of context {context} now use {id}"))?;
        }
        Command::Rename { id, name } => {
            show(session, &session.api.rename_project(&id, &RenameProject { name }).await?)?;
        }
        Command::Columns(columns) => columns.run(session).await?,
        Command::Delete { id, yes } => delete(session, &id, yes).await?,
    }
    Ok(())
}

/// Whether a project already has all that a request names. Later changes, such as a default repository, do not count.
fn is_repeat(request: &CreateProject, existing: &Project) -> bool {
    let (wanted, current) = (&request.settings, &existing.settings);
    request.name == existing.name
        && (!wanted.auto_create || current.auto_create)
        && (wanted.default_repository.is_none() || wanted.default_repository == current.default_repository)
        && (wanted.agent.is_none() || (&wanted.agent, &wanted.model) == (&current.agent, &current.model))
}

/// Each call deletes a page of tickets, until the last one deletes the project.
async fn delete(session: &Session, id: &ProjectId, yes: bool) -> Result<(), CliError> {
    confirm(&session.screen, yes, &format!("Delete the project {id} with its settings and all its tickets?"))?;
    let count = |tickets: u32| format_count(tickets, "ticket");
    let mut answer = session.api.delete_project(id).await?;
    while !answer.deleted {
        let next = session.api.delete_project(id).await?;
        answer = DeletedProject { tickets: answer.tickets.saturating_add(next.tickets), ..next };
        session.screen.note(&format!("Deleted {} so far", count(answer.tickets)));
    }
    let deleted = format!("Deleted {id} and {}", count(answer.tickets));
    let lines = answer.report.iter().fold(deleted, |lines, report| format!("{lines}\n{report}"));
    session.screen.report(&answer, &lines)
}

async fn list(session: &Session, after: Option<String>) -> Result<(), CliError> {
    let page = session.api.projects(after.as_deref()).await?;
    let mut table =
        Table::new([Fixed("PROJECT"), Flexible("NAME"), Fixed("AUTO-CREATE"), Flexible("DEFAULT REPOSITORY")]);
    for Project { id, name, settings, .. } in &page.projects {
        let auto = Cell::new(if settings.auto_create { "on" } else { "off" }, settings.auto_create.to_string());
        let repository = settings.default_repository.as_ref().map(|name| name.as_str());
        table.row([Cell::text(id), Cell::text(name), auto, Cell::optional(repository)]);
    }
    table.show_answer(&session.screen, &page, "No project yet. Create one with `pullyard projects create ID`.")?;
    hint_more(&session.screen, "projects list", page.next);
    Ok(())
}

fn show(session: &Session, project: &Project) -> Result<(), CliError> {
    let Settings { statuses, auto_create, default_repository, agent, model, budget, .. } = &project.settings;
    let merged = statuses.after_merge().map(|merged| format!(", {merged} after the merge")).unwrap_or_default();
    let flow =
        format!("{} starts jobs, then {}{merged}; back to {}", statuses.trigger, statuses.completion, statuses.todo);
    let lines = [
        ("Project", Cell::text(&project.id)),
        ("Name", Cell::text(&project.name)),
        ("Auto-create", Cell::new(if *auto_create { "on" } else { "off" }, auto_create.to_string())),
        ("Statuses", Cell::text(flow)),
        ("Default repository", Cell::optional(default_repository.as_ref())),
        ("Agent", Cell::optional(agent.as_ref())),
        ("Model", Cell::optional(model.as_ref())),
        ("Held by", Cell::optional(hold::describe(project).as_ref())),
        ("Budget", Cell::optional(budgets::describe(budget).as_ref())),
        ("Revision", Cell::text(project.revision)),
    ];
    session.screen.show(project, |_| print_facts(&session.screen, &lines))
}
