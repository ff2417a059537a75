//! `pullyard breakers`: lists and closes the breakers of model accounts.

use super::fault::Fault;
use super::session::Session;
use super::table::{Cell, Column, Table};
use super::words;
use clap::Subcommand;
use std::process::ExitCode;

/// List models' accounts that jobs wait for, and let one be asked again before its time.
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
    /// List them, each with until when jobs wait for it.
    #[command(after_help = "Examples:\n  pullyard breakers list\n  pullyard breakers list --json")]
    List,
    /// Let an account be asked again now: its limit was raised, or its key replaced.
    #[command(after_help = "Examples:\n  pullyard breakers close project/acme/claude_code")]
    Close {
        /// Which, as the list names it.
        account: String,
    },
}

impl Breakers {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        match self.command.unwrap_or(Command::List) {
            Command::List => list(session).await,
            Command::Close { account } => close(session, &account).await,
        }
    }
}

async fn list(session: &Session) -> Result<ExitCode, Fault> {
    let page = session.api.breakers().await?;
    if session.screen.is_json() {
        session.screen.json(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [Column::Text("ACCOUNT"), Column::Whole("SHUT"), Column::Right("TIMES")];
    let mut table = Table::new(columns);
    for breaker in &page.breakers {
        let cells = [
            Cell::same(&breaker.account),
            words::when(breaker.opened, words::now()),
            Cell::same(breaker.times.to_string()),
        ];
        table.row_with(cells, &breaker.sentence);
    }
    table.show(&session.screen, "No model's account is left alone.")?;
    Ok(ExitCode::SUCCESS)
}

async fn close(session: &Session, account: &str) -> Result<ExitCode, Fault> {
    let answer = session.api.close_breaker(account).await?;
    if session.screen.is_json() {
        session.screen.json(&answer)?;
    } else if answer.closed {
        session.screen.out(&answer.account)?;
        session.screen.hint("jobs that wait for it go on within five minutes");
    }
    if answer.closed {
        return Ok(ExitCode::SUCCESS);
    }
    let fault = Fault::not_found(format!("nobody waits for {}", answer.account)).help("`pullyard breakers` lists them");
    Ok(fault.after_the_answer(&session.screen))
}
