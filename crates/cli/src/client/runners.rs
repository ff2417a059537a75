//! `pullyard runners`: lists, shows, drains, resumes, restarts, updates and deletes runners.

mod update;

use super::pages;
use super::refresh::show_list;
use crate::client::prelude::*;
use pullyard_domain::agent::runner::validate_name;
use pullyard_protocol::client::Error;
use pullyard_protocol::runner_admin::{Runner, RunnerList, RunnerOrder, RunnerStatus, restart_effect};
use update::UpdateOptions;

/// List, show, drain, restart, update and delete self-hosted runners.
///
/// Start one with `pullyard runner start` and a token of `pullyard tokens create --kind runner`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard runners list
  pullyard runners drain kite-2")]
pub(crate) struct Runners {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List the runners that the token may see.
    #[command(after_help = "Examples:\n  pullyard runners list --watch\n  pullyard runners list --json")]
    List {
        /// Refresh every two seconds until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Show a runner.
    #[command(after_help = "Examples:\n  pullyard runners show kite-2\n  pullyard runners show kite-2 --json")]
    Show(RunnerArg),
    /// Drain a runner: it finishes its jobs and claims no more.
    #[command(after_help = "Examples:\n  pullyard runners drain kite-2\n  pullyard runners drain kite-2 --json")]
    Drain(RunnerArg),
    /// Let a drained runner claim jobs again.
    #[command(after_help = "Examples:\n  pullyard runners resume kite-2\n  pullyard runners resume kite-2 --json")]
    Resume(RunnerArg),
    /// Restart a runner's program; its running jobs continue.
    #[command(after_help = "Examples:\n  pullyard runners restart kite-2\n  pullyard runners restart kite-2 --json")]
    Restart(RunnerArg),
    /// Install another release on a runner, after its running jobs.
    #[command(after_help = "Examples:\n  pullyard runners update kite-2 --to 0.3.0\n  pullyard runners update --all")]
    Update(UpdateOptions),
    /// Delete a runner; its running jobs fail or are requeued.
    #[command(
        after_help = "Examples:\n  pullyard runners delete kite-2\n  pullyard runners delete kite-2 --yes --json"
    )]
    Delete {
        #[command(flatten)]
        runner: RunnerArg,
        /// Skip the confirmation.
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(clap::Args)]
struct RunnerArg {
    /// Runner name or id.
    runner: String,
}

impl Command {
    fn runner(&self) -> Option<&str> {
        match self {
            Self::List { .. } => None,
            Self::Update(options) => options.runner.as_deref(),
            Self::Show(arg)
            | Self::Drain(arg)
            | Self::Resume(arg)
            | Self::Restart(arg)
            | Self::Delete { runner: arg, .. } => Some(&arg.runner),
        }
    }
}

impl Runners {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let command = self.command.unwrap_or(Command::List { watch: false });
        let typed = command.runner().map(str::to_owned);
        if let Some(runner) = command.runner().filter(|runner| validate_name(runner).is_err()) {
            // Gateways decode paths, so no URL can contain such a name.
            return Err(
                CliError::not_found(format!("there is no runner {runner}")).with_help("`pullyard runners` lists them")
            );
        }
        let result = run(session, command).await;
        session
            .suggest(result, typed.as_deref(), async || {
                Ok(list_all(session).await?.into_iter().map(|runner| runner.name).collect())
            })
            .await
    }
}

pub(super) async fn list_all(session: &Session) -> Result<Vec<Runner>, Error> {
    pages::load_all(async |after| {
        let page = session.api.runners(after.as_deref()).await?;
        Ok((page.runners, page.next))
    })
    .await
}

async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::List { watch } => {
            let load = async || Ok(RunnerList { runners: list_all(session).await?, next: None });
            show_list(session, watch, load, |list| print_list(session, &list.runners)).await
        }
        Command::Show(RunnerArg { runner }) => show(session, &session.api.runner(&runner).await?),
        Command::Drain(RunnerArg { runner }) => {
            let drained = session.api.command_runner(&runner, RunnerOrder::Drain).await?;
            show(session, &drained)?;
            session.screen.hint(&format!("resume it with `pullyard runners resume {}`", drained.name));
            Ok(())
        }
        Command::Resume(RunnerArg { runner }) => {
            show(session, &session.api.command_runner(&runner, RunnerOrder::Resume).await?)
        }
        Command::Restart(RunnerArg { runner }) => {
            let ordered = session.api.command_runner(&runner, RunnerOrder::Restart).await?;
            session.screen.report(&ordered, &restart_effect(&ordered.name, ordered.busy))?;
            session.screen.hint(&format!("follow it with `pullyard runners show {}`", ordered.name));
            Ok(())
        }
        Command::Update(options) => update::run(session, options).await,
        Command::Delete { runner: RunnerArg { runner }, yes } => {
            let record = session.api.runner(&runner).await?;
            confirm(&session.screen, yes, &question(&record))?;
            let removed = session.api.remove_runner(&runner).await?;
            let note = match removed.gone {
                true => format!("Deleted runner {runner}; its name is free."),
                false => format!("Deleting runner {runner}; first its jobs stop."),
            };
            session.screen.report(&removed, &note)
        }
    }
}

fn question(runner: &Runner) -> String {
    let jobs = match runner.busy {
        0 => "It is running no job.".to_owned(),
        1 => "Its running job fails or is requeued.".to_owned(),
        n => format!("Its {n} running jobs fail or are requeued."),
    };
    format!("Delete runner {}? {jobs}", runner.name)
}

fn status_cell(screen: &Screen, status: RunnerStatus) -> Cell {
    let (symbol, ascii, label, colour) = match status {
        RunnerStatus::Online => ("●", "+", "Online", Colour::Green),
        RunnerStatus::Draining => ("◍", "*", "Draining", Colour::Yellow),
        RunnerStatus::Offline => ("○", "-", "Offline", Colour::Grey),
        RunnerStatus::NeverHeard => ("◌", ".", "Never seen", Colour::Grey),
        RunnerStatus::Deleting => ("✕", "x", "Deleting", Colour::Red),
    };
    Cell::new(format!("{} {label}", screen.symbol(symbol, ascii)), format::to_code(&status)).with_colour(colour)
}

fn joined_cell(values: impl IntoIterator<Item: ToString>) -> Cell {
    let values = values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>();
    let (text, piped) = (values.join(", "), values.join(","));
    if values.is_empty() { Cell::none() } else { Cell::new(text, piped) }
}

fn print_list(session: &Session, runners: &[Runner]) -> Result<(), CliError> {
    let mut table = Table::new([
        Fixed("STATUS"),
        Fixed("NAME"),
        Fixed("SLOTS"),
        Flexible("CAPABILITIES"),
        Flexible("LABELS"),
        Fixed("ISOLATION"),
        Fixed("VERSION"),
        Fixed("LAST SEEN"),
    ]);
    for runner in runners {
        table.row([
            status_cell(&session.screen, runner.status),
            Cell::text(&runner.name),
            Cell::text(format!("{}/{}", runner.busy, runner.slots)),
            joined_cell(&runner.capabilities),
            joined_cell(&runner.labels),
            Cell::optional(runner.isolation.as_ref().map(|isolation| &isolation.level)),
            Cell::text(&runner.version),
            format::time_cell(runner.last_heartbeat),
        ]);
    }
    table.show(
        &session.screen,
        "No runner yet. Create a token with `pullyard tokens create --kind runner`, then `pullyard runner start`.",
    )
}

fn show(session: &Session, runner: &Runner) -> Result<(), CliError> {
    let drain = runner.drain.as_ref().map(|drain| match drain.acknowledged {
        Some(at) => format!("requested by {} at {}, acknowledged at {at}", drain.by, drain.at),
        None => format!("requested by {} at {}, not acknowledged yet", drain.by, drain.at),
    });
    let isolation = runner.isolation.as_ref().map(|isolation| format!("{}: {}", isolation.level, isolation.result));
    let lines = [
        ("Runner", Cell::text(&runner.id)),
        ("Name", Cell::text(&runner.name)),
        ("Status", status_cell(&session.screen, runner.status)),
        ("Slots", Cell::text(format!("{}/{}", runner.busy, runner.slots))),
        ("Jobs", joined_cell(runner.jobs.iter().map(|job| &job.job))),
        ("Capabilities", joined_cell(&runner.capabilities)),
        ("Labels", joined_cell(&runner.labels)),
        ("Projects", runner.projects.as_ref().map_or_else(|| Cell::new("all", ""), joined_cell)),
        ("Isolation", Cell::optional(isolation.as_ref())),
        ("Version", Cell::text(&runner.version)),
        ("Last seen", format::time_cell(runner.last_heartbeat)),
        ("Offline after", Cell::text(format!("{} s", runner.offline_after_secs))),
        ("Drain", Cell::optional(drain.as_ref())),
        ("Order", Cell::optional(runner.order.as_ref().map(|order| format!("{}, at {}", order.sentence(), order.at)))),
    ];
    session.screen.show(runner, |_| print_facts(&session.screen, &lines))
}
