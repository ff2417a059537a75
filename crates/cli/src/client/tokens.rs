//! `pullyard tokens`: creates, lists and revokes tokens.

use super::choices::choices;
use super::pages::load_all;
use crate::client::prelude::*;
use pullyard_domain::text::id::{ProjectId, TokenId};
use pullyard_protocol::token::{CreateToken, Scope, Token, TokenKind, TokenState};
use std::collections::BTreeSet;

/// Create, list and revoke tokens of users, programs and runners.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard tokens list
  pullyard tokens create --name ci --kind api --scope read,jobs --expires 90d")]
pub(crate) struct Tokens {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Create a token; prints it only once.
    ///
    /// Valid for all projects, unless --project, PULLYARD_PROJECT or --projects limits it.
    #[command(after_help = "Examples:
  pullyard tokens create --name ci --kind api --scope read,jobs --project acme --expires 90d
  pullyard tokens create --name kite --kind runner --runner kite-2 > kite.token")]
    Create(Box<Create>),
    /// List all tokens, newest first.
    #[command(after_help = "Examples:\n  pullyard tokens list\n  pullyard tokens list --json")]
    List {
        /// Continue after the page that printed this cursor.
        #[arg(long, value_name = "CURSOR", value_parser = super::parse_cursor)]
        after: Option<String>,
    },
    /// Revoke a token, effective immediately.
    #[command(after_help = "Examples:
  pullyard tokens revoke rnt_3fa9
  pullyard tokens revoke 81c04f2a9d3e5b67 --yes")]
    Revoke {
        /// Id or its first characters, the token's first characters, or its name. Never the whole token.
        #[arg(value_name = "ID_OR_PREFIX")]
        which: String,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
}

const SCOPES: [(&str, Scope); 4] =
    [("read", Scope::Read), ("tickets", Scope::Tickets), ("jobs", Scope::Jobs), ("admin", Scope::Admin)];

#[derive(clap::Args)]
struct Create {
    /// Display name.
    #[arg(long)]
    name: String,
    /// Kind of token: api for users and programs, runner for runners.
    #[arg(long, ignore_case = true, value_parser = choices([("api", TokenKind::Api), ("runner", TokenKind::Runner)]))]
    kind: TokenKind,
    /// Scopes, separated by commas; only with --kind api.
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', ignore_case = true, value_parser = choices(SCOPES), required_if_eq("kind", "api"))]
    scopes: Vec<Scope>,
    /// Limit the token to these projects.
    #[arg(long, value_name = "ID", value_delimiter = ',', conflicts_with = "all_projects")]
    projects: Vec<ProjectId>,
    /// Valid for all projects, even if PULLYARD_PROJECT is set.
    #[arg(long)]
    all_projects: bool,
    /// Limit the token to this runner; only with --kind runner.
    #[arg(long, value_name = "NAME")]
    runner: Option<String>,
    /// Lifetime, such as 90d, 12h or 30m (default: until revoked).
    #[arg(long, value_name = "LENGTH", value_parser = parse_duration)]
    expires: Option<u64>,
}

impl Tokens {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        match self.command.unwrap_or(Command::List { after: None }) {
            Command::Create(new) => create(session, *new).await,
            Command::List { after } => list(session, after).await,
            Command::Revoke { which, yes } => revoke(session, &which, yes).await,
        }
    }
}

pub(super) fn parse_duration(text: &str) -> Result<u64, String> {
    let secs = format::parse_seconds(text, "mhd").filter(|secs| *secs > 0);
    secs.ok_or_else(|| "write it as 90d, 12h or 30m".into())
}

async fn create(session: &Session, new: Create) -> Result<(), CliError> {
    let projects: BTreeSet<ProjectId> = match (&session.named_project, new.all_projects, new.projects.is_empty()) {
        (_, true, _) | (None, false, true) => BTreeSet::new(),
        (_, false, false) => new.projects.into_iter().collect(),
        (Some(named), false, true) => {
            let bad = |bad| CliError::usage(format!("{named} is not a project id: {bad}"));
            [named.parse::<ProjectId>().map_err(bad)?].into()
        }
    };
    let request = CreateToken {
        name: new.name,
        kind: new.kind,
        scopes: new.scopes.into_iter().collect(),
        projects: Some(projects).filter(|projects| !projects.is_empty()),
        runner: new.runner,
        expires_in_secs: new.expires,
    };
    let created = session.api.create_token(&request).await?;
    if session.screen.is_json() {
        return session.screen.json(&created);
    }
    session.screen.print_line(&created.token)?;
    let about = &created.about;
    let projects = about.projects.as_ref().map_or("all projects".to_owned(), join);
    let until = about.expires_at.map_or("until it is revoked".to_owned(), |at| format!("until {at}"));
    session.screen.note(&format!(
        "Created token {} ({}) for {projects}, {until}. Save it now: it is shown only once.",
        about.name, about.id
    ));
    Ok(())
}

fn join<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
}

pub(super) fn format_scopes(token: &Token) -> String {
    match token.kind {
        TokenKind::Runner => "runner".into(),
        TokenKind::Api => join(token.scopes.iter().map(format::to_code)),
    }
}

pub(super) fn expiry_cell(token: &Token) -> Cell {
    let Some(at) = token.expires_at else { return Cell::new("never", "") };
    let remaining_secs = at.since(format::now()).as_secs();
    let cell = match remaining_secs {
        0 => format::time_cell(at),
        secs if secs < 3_600 => Cell::new(format!("in {} min", secs / 60 + 1), at),
        secs if secs < 48 * 3_600 => Cell::new(format!("in {} h", secs / 3_600), at),
        secs => Cell::new(format!("in {} d", secs / 86_400), at),
    };
    if remaining_secs < 7 * 86_400 { cell.with_colour(Colour::Yellow) } else { cell }
}

fn state_cell(token: &Token) -> Cell {
    match token.state {
        TokenState::Active => Cell::new("Active", "active").with_colour(Colour::Green),
        TokenState::Expired => Cell::new("Expired", "expired").with_colour(Colour::Yellow),
        TokenState::Revoked => Cell::new("Revoked", "revoked").with_colour(Colour::Grey),
    }
}

async fn list(session: &Session, after: Option<String>) -> Result<(), CliError> {
    let page = session.api.tokens(after.as_deref()).await?;
    let mut table = Table::new([
        Flexible("NAME"),
        Fixed("TOKEN"),
        Flexible("FOR"),
        Flexible("SCOPES"),
        Fixed("LAST USED"),
        Fixed("EXPIRES"),
        Fixed("STATE"),
        Fixed("ID"),
    ]);
    let dots = session.screen.symbol("…", "...");
    for token in &page.tokens {
        let last_used = token.last_used.map_or_else(|| Cell::new("never", ""), format::time_cell);
        let projects = token.projects.as_ref().map(join);
        let targets = [token.runner.as_ref().map(|name| format!("runner {name}")), projects].into_iter().flatten();
        table.row([
            Cell::text(&token.name),
            Cell::new(format!("{}{dots}", token.prefix), &token.prefix),
            Cell::list(targets),
            Cell::text(format_scopes(token)),
            last_used,
            expiry_cell(token),
            state_cell(token),
            Cell::text(&token.id),
        ]);
    }
    table.show_answer(&session.screen, &page, "No token.")?;
    if let Some(next) = page.next.filter(|_| !session.screen.is_json()) {
        session.screen.hint(&format!("there are older ones: `pullyard tokens list --after {next}`"));
    }
    Ok(())
}

async fn revoke(session: &Session, which: &str, yes: bool) -> Result<(), CliError> {
    let token = find_token(session, which).await?;
    let label = format!("{} ({}…)", token.name, token.prefix);
    let effect = match (token.kind, &token.runner) {
        (TokenKind::Runner, Some(runner)) => format!("Runner {runner} can no longer claim jobs with it."),
        (TokenKind::Runner, None) => "Runners can no longer claim jobs with it.".into(),
        (TokenKind::Api, _) => "Requests with it will be refused.".into(),
    };
    confirm(&session.screen, yes, &format!("Revoke token {label}? {effect}"))?;
    let is_own = session.api.own_token().await?.id == token.id;
    let revoked = match session.api.revoke_token(&token.id).await {
        // The first answer was lost, and the retry used the revoked token.
        Err(error) if is_own && error.code() == Some("not_signed_in") => None,
        answer => Some(answer?),
    };
    match revoked {
        Some(revoked) if session.screen.is_json() => session.screen.json(&revoked)?,
        _ => session.screen.note(&format!("Revoked token {label}.")),
    }
    if is_own {
        session.screen.hint("you revoked the token in use; sign in again with `pullyard login`");
    }
    Ok(())
}

async fn find_token(session: &Session, which: &str) -> Result<Token, CliError> {
    let prefix = which.trim_end_matches(['…', '.']);
    let is_id = prefix.parse::<TokenId>().is_ok();
    let matches = |token: &Token| match is_id {
        true => token.id.as_str() == prefix,
        false => {
            let begins = prefix.len() >= 4 && token.id.as_str().starts_with(prefix);
            begins || (prefix.len() > 4 && token.prefix.starts_with(prefix)) || token.name == which
        }
    };
    let mut candidates = load_all(async |after| {
        let page = session.api.tokens(after.as_deref()).await?;
        Ok::<_, CliError>((page.tokens, page.next))
    })
    .await?;
    candidates.retain(|token| matches(token));
    if candidates.iter().any(|token| token.state != TokenState::Revoked) {
        candidates.retain(|token| token.state != TokenState::Revoked);
    }
    // If all are revoked, use the first: revoking it again changes nothing.
    let more = candidates.iter().skip(1).any(|token| token.state != TokenState::Revoked);
    match candidates.into_iter().next() {
        Some(token) if !more => Ok(token),
        Some(token) => Err(CliError::usage(format!("{which} matches more than one token, including {}", token.id))
            .with_help("use its id; `pullyard tokens list` shows ids")),
        None => {
            // The input may be a whole token: do not print it.
            let which = if which.len() > 40 { "of that name" } else { which };
            Err(CliError::new(Exit::NotFound, format!("there is no token {which}"))
                .with_help("`pullyard tokens list` lists all tokens"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn lifetime_is_a_whole_number_of_days_hours_or_minutes() {
        for (text, secs) in [("90d", 7_776_000), ("12h", 43_200), ("30m", 1_800), ("1m", 60)] {
            assert_eq!(parse_duration(text), Ok(secs), "{text}");
        }
        for text in ["", "d", "0d", "-1d", "1.5h", "90", "90s", "90D", "1 d", "999999999999999999d", "9ü"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
