//! `pullyard login`, `logout` and `contexts`: saves, removes and selects contexts.

use super::config::{Config, SavedContext};
use super::session::LOCAL_URL;
use super::{Global, parse_token, parse_url};
use crate::client::prelude::*;
use pullyard_protocol::client::ApiClient;
use serde_json::json;
use std::io::{self, BufRead, IsTerminal};

/// Sign in to a server and save it as a context.
///
/// Prompts for the token without showing it, or reads it from stdin if stdin is not a terminal.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard login https://pullyard.example
  pullyard login --context work < token.txt")]
pub(crate) struct Login {
    /// URL of the server (default: the context's).
    #[arg(value_name = "URL")]
    server: Option<String>,
}

impl Login {
    pub(super) async fn run(self, global: &Global, screen: &Screen) -> Result<(), CliError> {
        let mut config = Config::load()?;
        let saved = global.context().or_else(|| config.current.clone()).and_then(|name| config.contexts.get(&name));
        let url = match self.server {
            Some(url) => parse_url(&url)?,
            None => global.url()?.or(saved.map(|context| context.url.clone())).unwrap_or_else(|| LOCAL_URL.into()),
        };
        let token = match global.token()? {
            Some(token) => token,
            None => prompt_token(screen, &url)?,
        };
        let projects = ApiClient::new(&url, &token)?.projects(None).await?;
        let only = match (projects.projects.as_slice(), &projects.next) {
            ([only], None) => Some(only.id.to_string()),
            _ => None,
        };
        let project = global.project().or(only);
        let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host).to_owned();
        let name = global.context().unwrap_or(host);
        let new = SavedContext { url: url.clone(), token, project: project.clone(), data: None };
        config.contexts.insert(name.clone(), new);
        config.current = Some(name.clone());
        let file = config.save()?;
        if screen.is_json() {
            screen.json(&json!({ "context": name, "url": url, "project": project }))?;
        }
        screen.note(&format!("Signed in to {url}, saved as context {name} in {}", file.display()));
        Ok(())
    }
}

fn prompt_token(screen: &Screen, url: &str) -> Result<String, CliError> {
    let read_error = |error: io::Error| CliError::failed(format!("can't read the token: {error}"));
    let input = if io::stdin().is_terminal() {
        if screen.is_json() {
            return Err(
                CliError::usage("--json never prompts").with_help("pass the token on stdin, or set PULLYARD_TOKEN")
            );
        }
        rpassword::prompt_password(format!("API token for {url}: ")).map_err(read_error)?
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(read_error)?;
        line
    };
    parse_token(input.trim())
}

/// Remove a saved context and its token.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard logout
  pullyard logout --context work")]
pub(crate) struct Logout {}

impl Logout {
    pub(super) fn run(self, global: &Global, screen: &Screen) -> Result<(), CliError> {
        let mut config = Config::load()?;
        let Some(name) = global.context().or_else(|| config.current.clone()) else {
            if screen.is_json() {
                screen.json(&json!({ "forgot": null, "current": null }))?;
            }
            screen.note("Not signed in.");
            return Ok(());
        };
        config.context(&name)?;
        config.contexts.remove(&name);
        if config.current.as_deref() == Some(name.as_str()) {
            config.current = None;
        }
        config.save()?;
        if screen.is_json() {
            screen.json(&json!({ "forgot": name, "current": config.current }))?;
        }
        screen.note(&format!("Removed context {name} and its saved token; the token itself stays valid."));
        if config.current.is_none() && !config.contexts.is_empty() {
            screen.hint("choose another with `pullyard contexts use NAME`");
        }
        Ok(())
    }
}

/// List the saved contexts, or choose one.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard contexts
  pullyard contexts use work")]
pub(crate) struct Contexts {
    #[command(subcommand)]
    command: Option<ContextsCommand>,
}

#[derive(Subcommand)]
enum ContextsCommand {
    /// Choose the current context.
    #[command(after_help = "Examples:\n  pullyard contexts use work\n  pullyard contexts use 127.0.0.1:7878")]
    Use {
        /// Context name.
        name: String,
    },
}

impl Contexts {
    pub(super) fn run(self, screen: &Screen) -> Result<(), CliError> {
        let mut config = Config::load()?;
        match self.command {
            None => list(screen, &config)?,
            Some(ContextsCommand::Use { name }) => {
                let SavedContext { url, project, .. } = config.context(&name)?.clone();
                config.current = Some(name.clone());
                config.save()?;
                if screen.is_json() {
                    screen.json(&json!({ "name": name, "url": url, "project": project, "current": true }))?;
                }
                screen.note(&format!("Current context: {name}, {url}"));
            }
        }
        Ok(())
    }
}

fn list(screen: &Screen, config: &Config) -> Result<(), CliError> {
    let is_current = |name: &String| config.current.as_ref() == Some(name);
    if screen.is_json() {
        let render = |(name, context): (&String, &SavedContext)| json!({ "name": name, "url": context.url, "project": context.project, "current": is_current(name) });
        return screen.json(&config.contexts.iter().map(render).collect::<Vec<_>>());
    }
    let mut table = Table::new([Fixed(""), Fixed("NAME"), Flexible("URL"), Fixed("PROJECT")]);
    for (name, context) in &config.contexts {
        let mark = if is_current(name) { "*" } else { "" };
        table.row([
            Cell::text(mark),
            Cell::text(name),
            Cell::text(&context.url),
            Cell::optional(context.project.as_ref()),
        ]);
    }
    table.show(screen, "No context is saved. Create one with `pullyard login URL`.")
}
