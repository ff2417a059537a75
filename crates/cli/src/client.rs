//! Runs the commands that call a server through the public API, and maps refusals to exit codes.

mod about;
mod analyses;
mod breakers;
mod budgets;
pub(crate) mod choices;
mod completions;
mod config;
mod conversation;
mod dead_letters;
mod deliveries;
mod doctor;
mod explain_job;
mod fault;
mod format;
mod help;
mod hold;
mod hooks;
mod init;
mod integrations;
mod jobs;
mod man;
mod mcp;
mod notifications;
mod open;
mod pages;
mod parse_error;
mod prelude;
mod projects;
mod prompt;
mod pulls;
mod raise;
mod refresh;
mod repositories;
mod run;
mod runners;
mod runs;
mod schedules;
mod screen;
mod secrets;
mod session;
mod settings;
mod sign_in;
mod submissions;
mod table;
mod templates;
mod tickets;
mod tokens;
mod trackers;
mod watch;
mod why;

use clap::{ColorChoice, Subcommand};
pub(crate) use completions::COMPLETE_VARIABLE;
pub(crate) use config::{Config, SavedContext};
pub(crate) use fault::{CliError, Exit};
pub(crate) use help::prepare;
pub(crate) use open::open_in_browser;
pub(crate) use parse_error::report_parse_error;
use pullyard_domain::text::id::{JobId, ProjectId};
use pullyard_protocol::client::ApiClient;
pub(crate) use screen::{Screen, write_stderr};
use session::Session;
pub(crate) use session::saved_url;
use std::process::ExitCode;

/// Follows a job of this process's own server until it ends. Only this terminal can answer the job's agent.
pub(crate) async fn follow(
    screen: Screen,
    url: &str,
    api: ApiClient,
    project: ProjectId,
    job: &JobId,
) -> Result<(), CliError> {
    watch::watch_with_input(&Session::with_api(screen, url, api, project), job).await
}

/// Options of every command that calls a server.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Server URL (default: the context's, or http://127.0.0.1:7878).
    #[arg(long, global = true, env = "PULLYARD_URL", value_name = "URL")]
    url: Option<String>,
    /// API token (default: the context's). Other users of this machine can read flags; prefer `pullyard login`.
    #[arg(long, global = true, env = "PULLYARD_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Saved context (default: the current one).
    #[arg(long, global = true, env = "PULLYARD_CONTEXT", value_name = "NAME")]
    context: Option<String>,
    /// Project (default: the context's, or the only one).
    #[arg(long, global = true, env = "PULLYARD_PROJECT", value_name = "ID")]
    project: Option<String>,
    /// Print the API's response as one JSON document, also for errors.
    #[arg(long, global = true)]
    json: bool,
    /// Print only errors on stderr.
    #[arg(long, global = true)]
    quiet: bool,
    /// Use of colours; auto uses them on terminals, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

impl Global {
    fn url(&self) -> Result<Option<String>, CliError> {
        non_empty(&self.url).map(|url| parse_url(&url)).transpose()
    }

    fn token(&self) -> Result<Option<String>, CliError> {
        non_empty(&self.token).map(|token| parse_token(&token)).transpose()
    }

    pub(crate) fn context(&self) -> Option<String> {
        non_empty(&self.context)
    }

    fn project(&self) -> Option<String> {
        non_empty(&self.project)
    }
}

fn non_empty(value: &Option<String>) -> Option<String> {
    value.clone().filter(|value| !value.is_empty())
}

fn parse_url(url: &str) -> Result<String, CliError> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_valid =
        host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && !url.contains(char::is_whitespace));
    if is_valid {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let help = if url.is_empty() || url.contains("://") || url.contains(char::is_whitespace) {
        "write it as https://HOST".to_owned()
    } else {
        format!("did you mean http://{url}?")
    };
    Err(CliError::usage(format!("\"{url}\" is not a URL")).with_help(help))
}

fn parse_cursor(text: &str) -> Result<String, String> {
    let is_valid =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_valid { Ok(text.to_owned()) } else { Err("use the cursor of an earlier page".into()) }
}

fn parse_token(token: &str) -> Result<String, CliError> {
    if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(token.to_owned());
    }
    let fault = CliError::usage("the token is empty or contains invalid characters");
    Err(fault.with_help("sign in with `pullyard login`, or correct PULLYARD_TOKEN"))
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Login(sign_in::Login),
    Logout(sign_in::Logout),
    Contexts(sign_in::Contexts),
    Open(open::Open),
    Status(about::Status),
    Doctor(doctor::Doctor),
    Version(about::Version),
    /// Print the command that installs the newest release of this program.
    #[command(after_help = "Examples:\n  pullyard update\n  pullyard update | sh")]
    Update,
    Projects(projects::Projects),
    Settings(settings::Settings),
    Init(Box<init::Init>),
    Integrations(integrations::Integrations),
    Hooks(hooks::Hooks),
    Repos(repositories::Repos),
    Runners(runners::Runners),
    Run(run::Run),
    Runs(runs::Runs),
    Templates(templates::Templates),
    Submissions(submissions::Submissions),
    Tickets(tickets::Tickets),
    Jobs(jobs::Jobs),
    Revise(pulls::Revise),
    Review(pulls::Review),
    Resolve(pulls::Resolve),
    Link(pulls::Link),
    Unlink(pulls::Unlink),
    #[command(visible_alias = "prs")]
    Pulls(pulls::Pulls),
    Analyses(analyses::Analyses),
    Why(why::Why),
    Hold(hold::Hold),
    Release(hold::Release),
    Budgets(budgets::Budgets),
    Breakers(breakers::Breakers),
    Deliveries(deliveries::Deliveries),
    Dlq(dead_letters::Dlq),
    Schedules(schedules::Schedules),
    Notifications(notifications::Notifications),
    Tokens(tokens::Tokens),
    Trackers(trackers::Trackers),
    Secrets(secrets::Secrets),
    Mcp(mcp::Mcp),
    Completions(completions::Completions),
    Man(man::ManPages),
    Help(help::Help),
}

impl Command {
    pub(crate) async fn run(self, global: &Global, program: clap::Command) -> ExitCode {
        let screen = Screen::new(global);
        let result = match self {
            Self::Login(login) => login.run(global, &screen).await,
            Self::Logout(logout) => logout.run(global, &screen),
            Self::Contexts(contexts) => contexts.run(&screen),
            Self::Completions(completions) => completions.run(&screen),
            Self::Man(pages) => pages.run(&screen, program),
            Self::Help(help) => help.run(&screen, program),
            Self::Update => about::print_update(&screen),
            Self::Runs(runs) if runs.is_local() => runs.run_locally(global, &screen).await,
            Self::Settings(settings) if settings.is_description() => settings.describe(&screen),
            // AWS credentials find a stack, which may have no context yet.
            Self::Doctor(doctor) if doctor.stack().is_some() => doctor.run_on_stack(global, &screen).await,
            Self::Init(init) => init.run(global, &screen).await,
            Self::Mcp(mcp) => mcp.run(global).await,
            Self::Trackers(trackers) if trackers.is_check() => trackers.run_check(&screen).await,
            remote => remote.run_remote(global).await,
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => fault.print_with_document(&screen),
        }
    }

    async fn run_remote(self, global: &Global) -> Result<(), CliError> {
        let session = Session::open(global)?;
        let result = match self {
            Self::Open(open) => open.run(&session).await,
            Self::Status(status) => status.run(&session).await,
            Self::Doctor(doctor) => doctor.run(&session).await,
            Self::Version(version) => version.run(&session).await,
            Self::Projects(projects) => projects.run(&session).await,
            Self::Settings(settings) => settings.run(&session).await,
            Self::Integrations(integrations) => integrations.run(&session).await,
            Self::Hooks(hooks) => hooks.run(&session).await,
            Self::Repos(repos) => repos.run(&session).await,
            Self::Run(run) => run.run(&session).await,
            Self::Runners(runners) => runners.run(&session).await,
            Self::Runs(runs) => runs.run(&session).await,
            Self::Submissions(submissions) => submissions.run(&session).await,
            Self::Templates(templates) => templates.run(&session).await,
            Self::Tickets(tickets) => tickets.run(&session).await,
            Self::Jobs(jobs) => jobs.run(&session).await,
            Self::Revise(revise) => revise.run(&session).await,
            Self::Review(review) => review.run(&session).await,
            Self::Resolve(resolve) => resolve.run(&session).await,
            Self::Link(link) => link.run(&session).await,
            Self::Unlink(unlink) => unlink.run(&session).await,
            Self::Pulls(pulls) => pulls.run(&session).await,
            Self::Analyses(analyses) => analyses.run(&session).await,
            Self::Why(why) => why.run(&session).await,
            Self::Hold(hold) => hold.run(&session).await,
            Self::Release(release) => release.run(&session).await,
            Self::Budgets(budgets) => budgets.run(&session).await,
            Self::Breakers(breakers) => breakers.run(&session).await,
            Self::Deliveries(deliveries) => deliveries.run(&session).await,
            Self::Dlq(dlq) => dlq.run(&session).await,
            Self::Notifications(notifications) => notifications.run(&session).await,
            Self::Schedules(schedules) => schedules.run(&session).await,
            Self::Tokens(tokens) => tokens.run(&session).await,
            Self::Trackers(trackers) => trackers.run(&session).await,
            Self::Secrets(secrets) => secrets.run(&session).await,
            Self::Login(_)
            | Self::Logout(_)
            | Self::Contexts(_)
            | Self::Update
            | Self::Init(_)
            | Self::Mcp(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Help(_) => Ok(()),
        };
        session.suggest_project(result).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_must_be_an_http_url() {
        for (url, parsed) in [("https://h/", "https://h"), ("http://127.0.0.1:7878", "http://127.0.0.1:7878")] {
            assert_eq!(parse_url(url).ok().as_deref(), Some(parsed), "{url}");
        }
        for bad in ["", "h", "ftp://h", "https://", "https:///x", "http://a b", "http://h\nx"] {
            assert!(parse_url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cursor_and_token_reject_unsafe_characters() {
        assert_eq!(parse_cursor("aB3-_").as_deref(), Ok("aB3-_"));
        for bad in ["", "a&project=other", "a/b", "a b", "a%26", "ü"] {
            assert!(parse_cursor(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_token("pyt_a.b~c").ok().as_deref(), Some("pyt_a.b~c"));
        for bad in ["", "a b", "a\r\nx-evil: 1", "ü", "a\u{7f}"] {
            assert!(parse_token(bad).is_err(), "{bad:?}");
        }
    }
}
