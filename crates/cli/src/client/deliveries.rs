//! `pullyard deliveries`: lists, shows, replays and recovers deliveries.

mod list;
mod simulate;

use super::hooks;
use crate::client::prelude::*;
use pullyard_domain::id::{DeliveryId, HookName};
use pullyard_domain::time::Timestamp;
use pullyard_protocol::delivery::Delivery;
use pullyard_protocol::hook::{RecoverAnswer, RecoverHook};
use std::time::Duration;

/// List incoming events and Pullyard's decision on each.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard deliveries
  pullyard deliveries --verdict refused --since 2d
  pullyard deliveries --pull-request acme/app#7 --json")]
pub(crate) struct Deliveries {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: list::List,
}

#[derive(Subcommand)]
enum Command {
    List(Box<list::List>),
    /// Decide a delivery again with the forge's current data.
    #[command(after_help = "Examples:\n  pullyard deliveries replay dlv_aaaaaaaaaaaaaaaaaaaaaaaaaa")]
    Replay {
        /// Delivery id.
        id: DeliveryId,
    },
    /// Fetch events that webhooks missed from the forges, now.
    ///
    /// Finds reviews, `/pullyard revise` comments, and pull requests that were closed, merged or reopened. Does not find
    /// labels: set the label again, or use `pullyard revise`.
    #[command(after_help = "Examples:
  pullyard deliveries recover
  pullyard deliveries recover --since 2026-11-20T08:00:00Z --hook acme-app")]
    Recover {
        /// Check everything again since this time.
        #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
        since: Option<Timestamp>,
        /// Only this hook (default: all hooks).
        #[arg(long, value_name = "NAME")]
        hook: Option<HookName>,
    },
    /// Show which decisions on reviews would differ with other settings; changes nothing.
    #[command(after_help = "Examples:
  pullyard deliveries simulate --set coalesce=false
  pullyard deliveries simulate --set revise_on_review=true --since 30d")]
    Simulate {
        /// Setting and its value to try: revise_on_review, coalesce, held_by.
        #[arg(long, required = true, value_name = "KEY=VALUE", value_parser = simulate::parse_change)]
        set: Vec<simulate::Change>,
        /// How far back, such as 7d; at most 30d, the retention of the ledger.
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_days)]
        since: Duration,
    },
    /// Show a delivery and the facts behind its decision.
    #[command(after_help = "Examples:
  pullyard deliveries show dlv_aaaaaaaaaaaaaaaaaaaaaaaaaa
  pullyard deliveries show dlv_aaaaaaaaaaaaaaaaaaaaaaaaaa --json")]
    Show {
        /// Delivery id.
        id: DeliveryId,
    },
}

impl Deliveries {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        if self.command.is_some() && self.list.has_flags() {
            return Err(CliError::usage("a flag of `deliveries list` precedes another command")
                .with_help("write it after the command: `pullyard deliveries list --verdict refused`"));
        }
        match self.command {
            Some(Command::Simulate { set, since }) => simulate::run(session, &set, since).await,
            Some(Command::Replay { id }) => {
                let decision = session.api.replay_delivery(&id).await?;
                session.screen.explain(&decision, &decision.sentence, &decision.help)
            }
            Some(Command::Recover { since, hook }) => recover(session, since, hook).await,
            Some(Command::Show { id }) => show(session, &session.api.delivery(&id).await?),
            Some(Command::List(list)) => list.run(session).await,
            None => self.list.run(session).await,
        }
    }
}

fn parse_days(text: &str) -> Result<Duration, String> {
    let secs = format::parse_seconds(text, "d").filter(|secs| (1..=30 * 86_400).contains(secs));
    secs.map(Duration::from_secs).ok_or_else(|| "write it as 7d, at most 30d".into())
}

fn parse_timestamp(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|_| "write it as 2026-11-20T08:00:00Z".into())
}

async fn recover(session: &Session, since: Option<Timestamp>, hook: Option<HookName>) -> Result<(), CliError> {
    let selected = match hook {
        Some(name) => vec![session.api.hook(&name).await?],
        None => hooks::list_all(session).await?,
    };
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for hook in &selected {
        let answer = session.api.recover_hook(&hook.name, &RecoverHook { since }).await?;
        problems.extend(answer.problems.clone());
        if !session.screen.is_json() {
            session.screen.print_line(&format_recovery(&hook.name, &answer))?;
        }
        all.push(answer);
    }
    if session.screen.is_json() {
        session.screen.json(&all)?;
    } else if selected.is_empty() {
        session.screen.note("There is no hook, so no event can be missing. Create one with `pullyard hooks install`.");
    }
    match problems.first() {
        None => Ok(()),
        Some(first) => Err(CliError::failed(first.clone()).printed(&session.screen)),
    }
}

fn format_recovery(name: &HookName, answer: &RecoverAnswer) -> String {
    let count = |count: usize, one, many| format::format_count(count as u64, one, many);
    let waiting = match answer.waiting {
        0 => String::new(),
        more => format!("; {} to check in the next minutes", count(more, "repository", "repositories")),
    };
    format!(
        "{name}: {} checked, {} compared, {} found{waiting}",
        count(answer.repositories, "repository", "repositories"),
        count(answer.pull_requests, "pull request", "pull requests"),
        count(answer.reviews, "review", "reviews"),
    )
}

fn show(session: &Session, delivery: &Delivery) -> Result<(), CliError> {
    let screen = &session.screen;
    if screen.is_json() {
        return screen.json(delivery);
    }
    let lines = [
        ("Delivery", Cell::text(&delivery.id)),
        ("Verdict", format::verdict_cell(screen, delivery.verdict)),
        ("Code", Cell::text(&delivery.code)),
        ("Why", Cell::text(&delivery.sentence)),
        ("Source", Cell::text(format::to_code(&delivery.source))),
        ("Event", Cell::text(&delivery.event)),
        ("Pull request", Cell::optional(delivery.review.as_ref().map(|review| &review.pull_request))),
        ("By", Cell::optional(delivery.review.as_ref().map(|review| &review.author))),
        ("Ticket", Cell::optional(delivery.ticket.as_ref())),
        ("Job", Cell::optional(delivery.job.as_ref())),
        ("When", format::time_cell(delivery.at, format::now())),
        ("Repeats", Cell::text(delivery.repeats)),
        ("Facts", Cell::text(&delivery.facts)),
    ];
    print_facts(screen, &lines)?;
    screen.hint(&delivery.help);
    Ok(())
}
