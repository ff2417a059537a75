//! `pullyard projects columns`: lists and changes the columns of a project's board.

use crate::client::prelude::*;
use clap::ValueEnum;
use pullyard_domain::project::{ColumnChange, Statuses};
use pullyard_protocol::project::{RawProject, RenameColumn, parse_known_settings};
use pullyard_protocol::setting::Setting;

/// List and change the columns of the board.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard projects columns list
  pullyard projects columns add 'Ready for QA'
  pullyard projects columns rename 'Ready for QA' QA
  pullyard projects columns move QA up")]
pub(super) struct Columns {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List the columns in their order.
    #[command(after_help = "Examples:\n  pullyard projects columns list\n  pullyard projects columns list --json")]
    List,
    /// Add a column at the right end of the board.
    #[command(after_help = "Examples:\n  pullyard projects columns add 'Ready for QA'")]
    Add(Name),
    /// Rename a column; its tickets and the settings follow, and no job starts.
    ///
    /// Tickets of an interrupted rename stay in a column of the old name. The same command moves them.
    #[command(after_help = "Examples:\n  pullyard projects columns rename 'In Review' Review")]
    Rename {
        /// Present name.
        from: String,
        /// New name.
        to: String,
    },
    /// Move a column one place up or down in the list, which is left or right on the board.
    #[command(after_help = "Examples:\n  pullyard projects columns move QA up")]
    Move {
        #[command(flatten)]
        name: Name,
        /// Direction in the list.
        direction: Direction,
    },
    /// Mark a column as closed: reviews of its tickets' pull requests start no job.
    #[command(after_help = "Examples:\n  pullyard projects columns close Shipped")]
    Close(Name),
    /// Mark a closed column as open.
    #[command(after_help = "Examples:\n  pullyard projects columns reopen Shipped")]
    Reopen(Name),
    /// Remove a column without tickets.
    #[command(after_help = "Examples:\n  pullyard projects columns remove QA")]
    Remove(Name),
}

#[derive(clap::Args)]
struct Name {
    /// Name.
    name: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Direction {
    Up,
    Down,
}

impl Columns {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let (change, name) = match self.command.unwrap_or(Command::List) {
            Command::List => {
                let project = session.api.get_raw_project(&session.project().await?).await?;
                return show(session, &parse_statuses(&project)?);
            }
            Command::Rename { from, to } => return rename(session, RenameColumn { from, to }).await,
            Command::Add(Name { name }) => (ColumnChange::Add, name),
            Command::Move { name: Name { name }, direction: Direction::Up } => (ColumnChange::Up, name),
            Command::Move { name: Name { name }, direction: Direction::Down } => (ColumnChange::Down, name),
            Command::Close(Name { name }) => (ColumnChange::Close, name),
            Command::Reopen(Name { name }) => (ColumnChange::Reopen, name),
            Command::Remove(Name { name }) => (ColumnChange::Remove, name),
        };
        let mut project = session.api.get_raw_project(&session.project().await?).await?;
        let changed = parse_statuses(&project)?.change_column(change, &name);
        let changed = changed.map_err(|bad| CliError::usage(bad.fault.into_owned()))?;
        let closed = changed.closed.into_iter().collect::<Vec<_>>();
        for (name, value) in [("statuses.columns", changed.columns), ("statuses.closed", closed)] {
            Setting::find(name)
                .into_iter()
                .for_each(|setting| setting.store(&mut project.settings, value.clone().into()));
        }
        let updated = session.api.set_settings(&project.id, &project.settings, project.revision).await?;
        show(session, &parse_statuses(&updated)?)
    }
}

/// Repeats the call until no ticket is left, because one call has a time limit.
async fn rename(session: &Session, request: RenameColumn) -> Result<(), CliError> {
    let project = session.project().await?;
    let mut moved_tickets = 0;
    loop {
        let mut renamed = session.api.rename_column(&project, &request).await?;
        moved_tickets += renamed.moved_tickets;
        if renamed.complete {
            renamed.moved_tickets = moved_tickets;
            if session.screen.is_json() {
                return session.screen.json(&renamed);
            }
            let tickets = format::format_count(moved_tickets, "ticket");
            let RenameColumn { from, to } = &request;
            let sentence = format!("{from} is now {to}, with {tickets}. No job started.");
            return session.screen.print_line(&sanitize(&sentence));
        }
    }
}

fn parse_statuses(project: &RawProject) -> Result<Statuses, CliError> {
    let settings = parse_known_settings(project.settings.clone());
    settings
        .map(|settings| settings.statuses)
        .map_err(|_| CliError::usage("this version cannot read the project's columns"))
}

fn show(session: &Session, statuses: &Statuses) -> Result<(), CliError> {
    if session.screen.is_json() {
        return session.screen.json(statuses);
    }
    let mut table = Table::new([Flexible("COLUMN"), Flexible("TICKETS ARE HERE")]);
    for name in &statuses.columns {
        let closed = statuses.is_closed(name).then_some("when they are closed");
        table.row([Cell::text(name), Cell::optional(statuses.role(name).or(closed))]);
    }
    table.show(&session.screen, "There are no columns.")?;
    if statuses.allow_others {
        session
            .screen
            .hint("tickets may have other statuses; `pullyard settings set statuses.allow_others=false` refuses them");
    }
    Ok(())
}
