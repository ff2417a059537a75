//! `pullyard deliveries`: what came in, and what was decided about it.

mod simulate;

use super::fault::Fault;
use super::jobs::NOTHING;
use super::session::Session;
use super::table::{Cell, Column, Table, facts};
use super::{hooks, words};
use clap::Subcommand;
use pullyard_domain::id::{DeliveryId, HookName};
use pullyard_domain::time::Timestamp;
use pullyard_protocol::delivery::Delivery;
use pullyard_protocol::hook::RecoverHook;
use std::process::ExitCode;

/// List and show what came in, and what was decided about it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard deliveries
  pullyard deliveries --day 2026-11-20 --json")]
pub(crate) struct Deliveries {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    page: Page,
}

#[derive(Default, clap::Args)]
struct Page {
    /// The day in UTC; today when not given.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = a_day)]
    day: Option<String>,
    /// Go on after the page that gave this cursor.
    #[arg(long, value_name = "CURSOR", value_parser = super::cursor)]
    after: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// List one day of a project's deliveries, newest first.
    #[command(after_help = "Examples:\n  pullyard deliveries list\n  pullyard deliveries list --day 2026-11-20")]
    List(Page),
    /// Decide a delivery again, from what its forge says now.
    #[command(after_help = "Examples:\n  pullyard deliveries replay dlv_aaaaaaaaaaaaaaaaaaaaaaaaaa")]
    Replay {
        /// Its id.
        id: DeliveryId,
    },
    /// Look now for what webhooks should have told and did not.
    ///
    /// A forge keeps deliveries for three days; reviews of open pull requests are found after that, too, comments and
    /// labels are not.
    #[command(after_help = "Examples:
  pullyard deliveries recover
  pullyard deliveries recover --since 2026-11-20T08:00:00Z --hook acme-app")]
    Recover {
        /// Look at everything again since then.
        #[arg(long, value_name = "TIME", value_parser = an_instant)]
        since: Option<Timestamp>,
        /// Of this hook; of all when not given.
        #[arg(long, value_name = "NAME")]
        hook: Option<HookName>,
    },
    /// Say which reviews would have been decided otherwise under other settings; changes nothing.
    #[command(after_help = "Examples:
  pullyard deliveries simulate --set coalesce=false
  pullyard deliveries simulate --set revise_on_review=true --since 30d")]
    Simulate {
        /// A setting and its other value: revise_on_review, coalesce, held_by.
        #[arg(long, required = true, value_name = "KEY=VALUE", value_parser = simulate::change)]
        set: Vec<simulate::Change>,
        /// How far back: 7d, 30d; at most 30d, which is how long the ledger keeps them.
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = days)]
        since: u64,
    },
    /// Show a delivery and what it was decided from.
    #[command(after_help = "Examples:
  pullyard deliveries show dlv_aaaaaaaaaaaaaaaaaaaaaaaaaa
  pullyard deliveries show dlv_aaaaaaaaaaaaaaaaaaaaaaaaaa --json")]
    Show {
        /// Its id.
        id: DeliveryId,
    },
}

impl Deliveries {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let Page { day, after } = self.page;
        match self.command {
            Some(
                Command::Show { .. } | Command::Replay { .. } | Command::Recover { .. } | Command::Simulate { .. },
            ) if day.is_some() || after.is_some() => {
                return Err(Fault::usage("--day and --after go with the list only"));
            }
            Some(Command::Simulate { set, since }) => {
                simulate::run(session, &set, std::time::Duration::from_secs(since * 86_400)).await?;
            }
            Some(Command::Replay { id }) => replay(session, &id).await?,
            Some(Command::Recover { since, hook }) => recover(session, since, hook).await?,
            Some(Command::Show { id }) => show(session, &session.api.delivery(&id).await?)?,
            Some(Command::List(page)) => {
                list(session, &Page { day: page.day.or(day), after: page.after.or(after) }).await?;
            }
            None => list(session, &Page { day, after }).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// As the ledger has it.
fn a_day(text: &str) -> Result<String, String> {
    let at = Timestamp::parse(&format!("{text}T00:00:00Z")).map(Timestamp::day);
    if at.is_ok_and(|day| day == text) { Ok(text.to_owned()) } else { Err("write it as 2026-11-20".into()) }
}

fn days(text: &str) -> Result<u64, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    days.filter(|days| (1..=30).contains(days)).ok_or_else(|| "write it as 7d, at most 30d".into())
}

fn an_instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|_| "write it as 2026-11-20T08:00:00Z".into())
}

async fn replay(session: &Session, id: &DeliveryId) -> Result<(), Fault> {
    let decision = session.api.replay_delivery(id).await?;
    if session.screen.is_json() {
        return session.screen.json(&decision);
    }
    session.screen.out(&decision.sentence)?;
    if decision.help != NOTHING {
        session.screen.hint(&decision.help);
    }
    Ok(())
}

async fn recover(session: &Session, since: Option<Timestamp>, hook: Option<HookName>) -> Result<(), Fault> {
    let names = match hook {
        Some(name) => vec![name],
        None => hooks::all(session).await?.into_iter().map(|hook| hook.name).collect(),
    };
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for name in &names {
        let found = session.api.recover_hook(name, &RecoverHook { since }).await?;
        problems.extend(found.problems.clone());
        if !session.screen.is_json() {
            session.screen.out(&format!(
                "{name}: {} tries looked at, {} asked for again, {} missing, {} given up; {} pull requests compared, {} reviews found",
                found.looked_at, found.asked, found.missing, found.given_up, found.pull_requests, found.reviews
            ))?;
        }
        all.push(found);
    }
    if session.screen.is_json() {
        return session.screen.json(&all);
    }
    hooks::failed(&problems)
}

async fn list(session: &Session, wanted: &Page) -> Result<(), Fault> {
    let Page { day, after } = wanted;
    let project = session.project().await?;
    let page = session.api.deliveries(&project, day.as_deref(), after.as_deref()).await?;
    session.known_if(page.deliveries.is_empty(), &project).await?;
    if session.screen.is_json() {
        return session.screen.json(&page);
    }
    let columns = [
        Column::Whole("VERDICT"),
        Column::Whole("WHEN"),
        Column::Text("TICKET"),
        Column::Whole("JOB"),
        Column::Whole("DELIVERY"),
    ];
    let (mut table, now) = (Table::new(columns), words::now());
    for delivery in &page.deliveries {
        let job = delivery.job.as_ref();
        let cells = [
            words::verdict(&session.screen, delivery.verdict),
            words::when(delivery.at, now),
            Cell::maybe(delivery.ticket.as_ref().map(|key| key.as_str())),
            job.map_or_else(|| Cell::maybe(None::<&str>), |job| Cell::new(job.short(), job.as_str())),
            Cell::same(delivery.id.as_str()),
        ];
        table.row_with(cells, &delivery.sentence);
    }
    let empty = day.as_ref().map_or("Nothing came in today.".to_owned(), |day| format!("Nothing came in on {day}."));
    table.show(&session.screen, &empty)?;
    if let Some(next) = page.next {
        let day = day.as_ref().map(|day| format!(" --day {day}")).unwrap_or_default();
        session.screen.hint(&format!("there are older ones: `pullyard deliveries{day} --after {next}`"));
    }
    Ok(())
}

fn show(session: &Session, delivery: &Delivery) -> Result<(), Fault> {
    let screen = &session.screen;
    if screen.is_json() {
        return screen.json(delivery);
    }
    let lines = [
        ("Delivery", Cell::same(delivery.id.as_str())),
        ("Verdict", words::verdict(screen, delivery.verdict)),
        ("Code", Cell::same(&delivery.code)),
        ("Why", Cell::same(&delivery.sentence)),
        ("Source", Cell::same(words::wire(&delivery.source))),
        ("Event", Cell::same(delivery.event.as_str())),
        ("Ticket", Cell::maybe(delivery.ticket.as_ref().map(|key| key.as_str()))),
        ("Job", Cell::maybe(delivery.job.as_ref().map(|job| job.as_str()))),
        ("When", words::when(delivery.at, words::now())),
        ("Repeats", Cell::same(delivery.repeats.to_string())),
        ("Facts", Cell::same(delivery.facts.to_string())),
    ];
    facts(screen, &lines)?;
    if delivery.help != NOTHING {
        screen.hint(&delivery.help);
    }
    Ok(())
}
