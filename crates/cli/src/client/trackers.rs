//! `pullyard trackers`: connects ticket tools, tests them, and chooses the tool of a project.

use super::prompt::prompt_hidden;
use crate::client::prelude::*;
use pullyard_domain::project::ToolChoice;
use pullyard_domain::project::tracker::{TrackerKind, UnsyncedTicket};
use pullyard_domain::text::id::IntegrationId;
use pullyard_protocol::tracker::{CreateTracker, Tracker};
use pullyard_tracker::check_receiver;
use serde_json::json;

/// Connect ticket tools that show the state of jobs.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard trackers check http://127.0.0.1:8090/pullyard < secret.txt
  pullyard trackers add own --site https://tickets.acme.example/pullyard
  pullyard trackers add jira --kind jira --site https://acme.atlassian.net --token-secret pullyard/user/jira
  pullyard trackers use jira --scope PRJ --trigger 'AI Processing' --todo Backlog --completion 'In Review'")]
pub(crate) struct Trackers {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List the connected ticket tools.
    #[command(after_help = "Examples:\n  pullyard trackers list\n  pullyard trackers list --json")]
    List,
    /// Connect a ticket tool; prints the secret that signs its deliveries once.
    ///
    /// For github_issues, the name is that of a connected forge. docs/tickets.md describes each kind.
    #[command(after_help = "Examples:
  pullyard trackers add own --site https://tickets.acme.example/pullyard
  pullyard trackers add own --site https://tickets.acme.example/pullyard --token-secret pullyard/user/tickets
  pullyard trackers add jira --kind jira --site https://acme.atlassian.net --token-secret pullyard/user/jira
  pullyard trackers add linear --kind linear --token-secret pullyard/user/linear
  pullyard trackers add gh1 --kind github_issues")]
    Add {
        /// Name of the connection.
        id: IntegrationId,
        /// Kind of tool.
        #[arg(long, value_parser = parse_kind, default_value = "http")]
        kind: TrackerKind,
        /// Site of Jira, or address that receives the wanted states, of kind http.
        #[arg(long, value_name = "URL")]
        site: Option<String>,
        /// Full name of the secret with the credential (default for kind http: a new signing secret).
        #[arg(long, value_name = "SECRET")]
        token_secret: Option<String>,
        /// Id of Jira's site, which a scoped token needs.
        #[arg(long, value_name = "ID")]
        cloud_id: Option<String>,
    },
    /// List the statuses of a project or team in the tool, or all its projects or teams.
    #[command(after_help = "Examples:
  pullyard trackers statuses jira
  pullyard trackers statuses jira --scope PRJ")]
    Statuses {
        #[command(flatten)]
        tracker: Name,
        /// Key of a project or team.
        #[arg(long, value_name = "KEY", default_value = "")]
        scope: String,
    },
    /// Show a ticket tool, its health, and the tickets that it does not show.
    #[command(after_help = "Examples:\n  pullyard trackers show own")]
    Show(Name),
    /// Send a test message to a ticket tool, which changes nothing there.
    #[command(after_help = "Examples:\n  pullyard trackers test own")]
    Test(Name),
    /// Choose the ticket tool of the project; a repeat keeps what it does not name.
    ///
    /// Tickets that enter the trigger status from now on get a job. Tickets of the board remain on the board.
    #[command(after_help = "Examples:
  pullyard trackers use own --trigger 'AI Processing' --todo Backlog --completion 'In Review' --merged Done
  pullyard trackers use jira --scope PRJ --trigger 'AI Processing' --todo Backlog --completion 'In Review'
  pullyard trackers use --none")]
    Use(Use),
    /// Check a receiver before it is connected; runs on this machine and needs no server.
    ///
    /// Reads the signing secret from stdin. The messages name the ticket PULLYARD-CHECK and want no change.
    #[command(after_help = "Examples:
  pullyard trackers check http://127.0.0.1:8090/pullyard < secret.txt")]
    Check {
        /// Address of the receiver.
        url: String,
    },
    /// Disconnect a ticket tool that no project uses; removes its webhooks and the secrets that Pullyard made.
    #[command(after_help = "Examples:\n  pullyard trackers delete own --yes")]
    Delete {
        #[command(flatten)]
        tracker: Name,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(clap::Args)]
struct Name {
    /// Name of the connection.
    id: IntegrationId,
}

#[derive(clap::Args)]
struct Use {
    /// Name of the connection.
    #[arg(required_unless_present = "none", conflicts_with = "none")]
    id: Option<IntegrationId>,
    /// Return to the built-in board.
    #[arg(long)]
    none: bool,
    /// Key of the tool's own project or team.
    #[arg(long, value_name = "KEY", default_value = "")]
    scope: String,
    /// Status that starts a job (default for all: as before).
    #[arg(long, value_name = "STATUS")]
    trigger: Option<String>,
    /// Status after a failed job.
    #[arg(long, value_name = "STATUS")]
    todo: Option<String>,
    /// Status after a completed job.
    #[arg(long, value_name = "STATUS")]
    completion: Option<String>,
    /// Status after the merge of the pull request.
    #[arg(long, value_name = "STATUS")]
    merged: Option<String>,
    /// Status after a close without a merge.
    #[arg(long, value_name = "STATUS")]
    unmerged: Option<String>,
    /// Status of closed tickets; can be repeated (default for Jira and Linear: as the tool counts them).
    #[arg(long, value_name = "STATUS")]
    closed: Vec<String>,
}

impl Trackers {
    pub(super) fn is_check(&self) -> bool {
        matches!(self.command, Some(Command::Check { .. }))
    }

    pub(super) async fn run_check(self, screen: &Screen) -> Result<(), CliError> {
        match self.command {
            Some(Command::Check { url }) => check(screen, &url).await,
            _ => Ok(()),
        }
    }

    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let api = &session.api;
        match self.command.unwrap_or(Command::List) {
            Command::List => list(session).await,
            Command::Add { id, kind, site: url, token_secret: secret, cloud_id } => {
                let new = CreateTracker { id, kind, url, secret, cloud_id };
                let created = api.create_tracker(&new).await?;
                session.screen.show(&created, |created| {
                    show(session, &created.tracker)?;
                    let secret = created.signing_secret.as_ref().map(|secret| ("Signing secret", Cell::text(secret)));
                    let webhook = secret.is_some().then(|| ("Receives events at", Cell::text(&created.webhook_url)));
                    print_facts(&session.screen, &secret.into_iter().chain(webhook).collect::<Vec<_>>())?;
                    let next = if kind.has_scopes() { "statuses" } else { "test" };
                    session.screen.hint(&format!("continue with `pullyard trackers {next} {}`", created.tracker.id));
                    Ok(())
                })
            }
            Command::Statuses { tracker: Name { id }, scope } => statuses(session, &id, &scope).await,
            Command::Show(Name { id }) => {
                session.screen.show(&api.tracker(&id).await?, |tracker| show(session, tracker))
            }
            Command::Test(Name { id }) => {
                let tracker = api.test_tracker(&id).await?;
                session.screen.show(&tracker, |tracker| show(session, tracker))?;
                if tracker.problem.is_some() { Err(CliError::silent(Exit::Failed)) } else { Ok(()) }
            }
            Command::Use(choice) => choose(session, choice).await,
            Command::Check { url } => check(&session.screen, &url).await,
            Command::Delete { tracker: Name { id }, yes } => {
                confirm(&session.screen, yes, &format!("Disconnect the ticket tool {id}?"))?;
                let deleted = api.delete_tracker(&id).await?;
                report(session, &deleted, format!("Disconnected {id}."), &deleted.report)
            }
        }
    }
}

fn report(session: &Session, answer: &impl serde::Serialize, first: String, lines: &[String]) -> Result<(), CliError> {
    let lines: Vec<_> = std::iter::once(first).chain(lines.iter().map(|line| sanitize(line))).collect();
    session.screen.report(answer, &lines.join("\n"))
}

async fn choose(session: &Session, choice: Use) -> Result<(), CliError> {
    let project = session.project().await?;
    let Use { id, none: _, scope, trigger, todo, completion, merged, unmerged, closed } = choice;
    let Some(connection) = id else {
        let changed = session.api.unuse_tracker(&project).await?;
        return report(session, &changed, format!("{project} uses the built-in board."), &changed.report);
    };
    let closed = closed.into_iter().collect();
    let choice = ToolChoice { connection, scope, trigger, todo, completion, merged, unmerged, closed };
    let chosen = session.api.use_tracker(&project, &choice).await?;
    let (trigger, tool) = (&chosen.project.settings.statuses.trigger, &choice.connection);
    let effect = match chosen.project.settings.auto_create {
        true => format!("Tickets that enter \"{trigger}\" from now on get a job."),
        false => {
            "No ticket gets a job by its status; `pullyard settings set auto_create=true` changes that.".to_owned()
        }
    };
    let line = format!("{project} uses {tool}. {effect}");
    session.screen.show(&chosen, |chosen| {
        let lines = chosen.report.iter().chain([&line]);
        lines.into_iter().try_for_each(|line| session.screen.print_line(&sanitize(line)))
    })
}

async fn statuses(session: &Session, id: &IntegrationId, scope: &str) -> Result<(), CliError> {
    let found = session.api.tool_statuses(id, scope).await?;
    let mut table = Table::new([Fixed("ID"), Flexible("NAME"), Flexible("CLOSED")]);
    for scope in &found.scopes {
        table.row([Cell::text(&scope.id), Cell::text(&scope.name), Cell::text("")]);
    }
    for status in &found.statuses {
        table.row([
            Cell::text(&status.id),
            Cell::text(&status.name),
            Cell::text(if status.closes { "yes" } else { "" }),
        ]);
    }
    table.show_answer(&session.screen, &found, "The tool lists none. Its kind has none, or the account may see none.")
}

/// Prints one line for each requirement.
async fn check(screen: &Screen, url: &str) -> Result<(), CliError> {
    let secret = prompt_hidden(screen, "the signing secret")?;
    let checks = check_receiver(url, secret.trim(), format::now()).await;
    let checks = checks.map_err(|error| CliError::usage(error.to_string()))?;
    if screen.is_json() {
        let list = checks.iter().map(|check| json!({ "name": check.name, "fault": check.fault }));
        screen.json(&json!({ "checks": list.collect::<Vec<_>>() }))?;
    } else {
        for check in &checks {
            let fault = check.fault.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default();
            let word = if check.fault.is_some() { "FAILED" } else { "ok" };
            screen.print_line(&sanitize(&format!("{word:<6} {}{fault}", check.name)))?;
        }
    }
    let is_right = checks.iter().all(|check| check.fault.is_none());
    if is_right { Ok(()) } else { Err(CliError::silent(Exit::Failed)) }
}

fn parse_kind(text: &str) -> Result<TrackerKind, String> {
    let kind = TrackerKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    kind.ok_or_else(|| format!("use {}", TrackerKind::ALL.map(TrackerKind::as_str).join(", ")))
}

fn state(tracker: &Tracker) -> Cell {
    Cell::text(match (&tracker.problem, tracker.last_ok) {
        (Some(_), _) => "Fails",
        (None, Some(_)) => "Works",
        (None, None) => "Not called yet",
    })
}

async fn list(session: &Session) -> Result<(), CliError> {
    let page = session.api.trackers().await?;
    let mut table = Table::new([Fixed("TOOL"), Fixed("STATE"), Flexible("ADDRESS"), Flexible("PROBLEM")]);
    for tracker in &page.trackers {
        let problem = Cell::optional(tracker.problem.as_ref());
        table.row([Cell::text(&tracker.id), state(tracker), Cell::text(&tracker.url), problem]);
    }
    let empty = "No ticket tool. Connect one with `pullyard trackers add`; its help has examples.";
    table.show_answer(&session.screen, &page, empty)
}

fn show(session: &Session, tracker: &Tracker) -> Result<(), CliError> {
    let mut facts = vec![
        ("Tool", Cell::text(&tracker.id)),
        ("Kind", Cell::text(tracker.kind.label())),
        ("State", state(tracker)),
        ("Address", Cell::text(&tracker.url)),
        ("Secret", Cell::text(&tracker.secret)),
    ];
    facts.extend(tracker.account.iter().map(|account| ("Account", Cell::text(account))));
    facts.extend(tracker.hook_secret.iter().map(|secret| ("Webhook secret", Cell::text(secret))));
    facts.extend(tracker.last_ok.map(|at| ("Last success", Cell::text(at))));
    facts.extend(tracker.problem.iter().map(|problem| ("Problem", Cell::text(problem))));
    facts.extend(tracker.rest_until.map(|at| ("Rests until", Cell::text(at))));
    facts.extend(tracker.last_delivery.map(|at| ("Last delivery", Cell::text(at))));
    facts.extend(tracker.unsynced.iter().map(|UnsyncedTicket { project, key, since, problem }| {
        ("Does not show", Cell::text(format!("{key} of {project} since {since}: {problem}")))
    }));
    print_facts(&session.screen, &facts)
}
