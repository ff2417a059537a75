//! `pullyard deliveries`: lists, shows and replays deliveries.

mod list;

use crate::client::prelude::*;
use pullyard_domain::text::id::DeliveryId;
use pullyard_protocol::delivery::Delivery;

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
        if self.command.is_some() && self.list != list::List::default() {
            return Err(CliError::usage("a flag of `deliveries list` precedes another command")
                .with_help("write it after the command: `pullyard deliveries list --verdict refused`"));
        }
        match self.command {
            Some(Command::Replay { id }) => {
                let decision = session.api.replay_delivery(&id).await?;
                session.screen.explain(&decision, &decision.sentence, &decision.help)
            }
            Some(Command::Show { id }) => show(session, &session.api.delivery(&id).await?),
            Some(Command::List(list)) => list.run(session).await,
            None => self.list.run(session).await,
        }
    }
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
        ("When", format::time_cell(delivery.at)),
        ("Facts", Cell::text(&delivery.facts)),
    ];
    print_facts(screen, &lines)?;
    screen.hint(&delivery.help);
    Ok(())
}
