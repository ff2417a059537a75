//! `pullyard breakers`: lists and closes the breakers of model accounts.

use crate::client::prelude::*;

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
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        match self.command.unwrap_or(Command::List) {
            Command::List => list(session).await,
            Command::Close { account } => close(session, &account).await,
        }
    }
}

async fn list(session: &Session) -> Result<(), CliError> {
    let page = session.api.breakers().await?;
    let mut table = Table::new([Flexible("ACCOUNT"), Fixed("SHUT"), Right("TIMES")]);
    for breaker in &page.breakers {
        let cells = [Cell::text(&breaker.account), format::time_cell(breaker.opened), Cell::text(breaker.times)];
        table.row_with(cells, &breaker.sentence);
    }
    table.show_answer(&session.screen, &page, "No model account is paused.")
}

async fn close(session: &Session, account: &str) -> Result<(), CliError> {
    let answer = session.api.close_breaker(account).await?;
    session.screen.show(&answer, |answer| {
        if answer.closed {
            session.screen.print_line(&answer.account)?;
            session.screen.hint("waiting jobs resume within five minutes");
        }
        Ok(())
    })?;
    if answer.closed {
        return Ok(());
    }
    let fault = CliError::not_found(format!("the account {} is not paused", answer.account))
        .with_help("`pullyard breakers` lists paused accounts");
    Err(fault.printed(&session.screen))
}
