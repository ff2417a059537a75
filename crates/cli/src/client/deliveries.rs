//! `pullyard deliveries`: what came in, and what was decided about it.

mod list;

use super::fault::Fault;
use super::jobs::NOTHING;
use super::session::Session;
use super::table::{Cell, facts};
use super::words;
use clap::Subcommand;
use pullyard_domain::id::DeliveryId;
use pullyard_protocol::delivery::Delivery;
use std::process::ExitCode;

/// List and show what came in, and what was decided about it.
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
        if self.command.is_some() && self.list.asks_anything() {
            return Err(Fault::usage("a flag of `deliveries list` stands before another command")
                .help("write it after the command: `pullyard deliveries list --verdict refused`"));
        }
        match self.command {
            Some(Command::Show { id }) => show(session, &session.api.delivery(&id).await?)?,
            Some(Command::List(list)) => list.run(session).await?,
            None => self.list.run(session).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
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
        ("Pull request", Cell::maybe(delivery.review.as_ref().map(|review| &review.pull_request))),
        ("By", Cell::maybe(delivery.review.as_ref().map(|review| &review.author))),
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
