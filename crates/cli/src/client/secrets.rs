//! `pullyard secrets`: values go in and never come out.

use super::fault::Fault;
use super::session::Session;
use super::table::{Cell, Column, Table};
use super::{ask, words};
use clap::Subcommand;
use pullyard_domain::id::SecretName;
use pullyard_protocol::secret::SetSecret;
use std::process::ExitCode;

/// What Secrets Manager stores at most. Units: bytes.
const LARGEST: usize = 65_536;

/// Set secrets, such as a forge's token, and list their names.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard secrets set github < token.txt
  pullyard secrets list")]
pub(crate) struct Secrets {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Set a secret from stdin, or from a prompt that does not show it; prints its whole name.
    ///
    /// One line's end after the value is left out. Everything uses the new value within a minute.
    #[command(after_help = "Examples:
  pullyard secrets set github
  pullyard integrations add gh1 --api-url https://api.github.com \\
    --token-secret \"$(pullyard secrets set github < token.txt)\"")]
    Set {
        /// The name you give it.
        name: SecretName,
    },
    /// List the secrets that were set, without their values.
    #[command(after_help = "Examples:\n  pullyard secrets list\n  pullyard secrets list --json")]
    List {
        /// Go on after the page that gave this cursor.
        #[arg(long, value_name = "CURSOR", value_parser = super::cursor)]
        after: Option<String>,
    },
}

impl Secrets {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        match self.command.unwrap_or(Command::List { after: None }) {
            Command::Set { name } => set(session, &name).await?,
            Command::List { after } => list(session, after).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn set(session: &Session, name: &SecretName) -> Result<(), Fault> {
    let value = ask::hidden(&session.screen, &format!("the value of {name}"), LARGEST)?;
    let set = session.api.set_secret(name, &SetSecret { value }).await?;
    if session.screen.is_json() {
        return session.screen.json(&set);
    }
    session.screen.out(&set.secret)?;
    session.screen.note(&format!("Set {name}; an integration names it by --token-secret {}", set.secret));
    Ok(())
}

async fn list(session: &Session, after: Option<String>) -> Result<(), Fault> {
    let page = session.api.secrets(after.as_deref()).await?;
    if session.screen.is_json() {
        return session.screen.json(&page);
    }
    let mut table = Table::new([Column::Text("NAME"), Column::Whole("SET"), Column::Text("WHOLE NAME")]);
    let now = words::now();
    for secret in &page.secrets {
        let set = secret.set_at.map_or_else(|| Cell::maybe(None::<&str>), |at| words::when(at, now));
        table.row([Cell::same(secret.name.as_str()), set, Cell::same(&secret.secret)]);
    }
    table.show(&session.screen, "No secret was set. Set one with `pullyard secrets set NAME`.")?;
    if let Some(next) = page.next {
        session.screen.hint(&format!("there are more: `pullyard secrets list --after {next}`"));
    }
    Ok(())
}
