//! `pullyard breakers`: lists and closes the breakers of model accounts.

use super::fault::CliError;
use super::format;
use super::session::Session;
use super::table::{Cell, Column, Table};
use clap::Subcommand;
use std::process::ExitCode;

/// List model accounts paused after errors, and resume one early.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard breakers
  pullyard breakers close project/acme/claude_code")]
pub(crate) struct Breakers {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List paused accounts and the time at which each resumes.
    #[command(after_help = "Examples:\n  pullyard breakers list\n  pullyard breakers list --json")]
    List,
    /// Resume an account now, after you raised its limit or replaced its key.
    #[command(after_help = "Examples:\n  pullyard breakers close project/acme/claude_code")]
    Close {
        /// Account, as shown by `pullyard breakers list`.
        account: String,
    },
}

impl Breakers {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, CliError> {
        match self.command.unwrap_or(Command::List) {
            Command::List => list(session).await,
            Command::Close { account } => close(session, &account).await,
        }
    }
}

async fn list(session: &Session) -> Result<ExitCode, CliError> {
    let page = session.api.breakers().await?;
    if session.screen.is_json() {
        session.screen.json(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [Column::Flexible("ACCOUNT"), Column::Fixed("SHUT"), Column::Right("TIMES")];
    let mut table = Table::new(columns);
    for breaker in &page.breakers {
        let cells = [
            Cell::text(&breaker.account),
            format::time_cell(breaker.opened, format::now()),
            Cell::text(breaker.times.to_string()),
        ];
        table.row_with(cells, &breaker.sentence);
    }
    table.show(&session.screen, "No model account is paused.")?;
    Ok(ExitCode::SUCCESS)
}

async fn close(session: &Session, account: &str) -> Result<ExitCode, CliError> {
    let answer = session.api.close_breaker(account).await?;
    if session.screen.is_json() {
        session.screen.json(&answer)?;
    } else if answer.closed {
        session.screen.print_line(&answer.account)?;
        session.screen.hint("waiting jobs resume within five minutes");
    }
    if answer.closed {
        return Ok(ExitCode::SUCCESS);
    }
    let fault = CliError::not_found(format!("the account {} is not paused", answer.account))
        .with_help("`pullyard breakers` lists paused accounts");
    Ok(fault.print_and_exit(&session.screen))
}
