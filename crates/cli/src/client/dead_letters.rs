//! `pullyard dlq`: lists, shows, redrives and drops dead letters.

mod actions;

use super::choices::choices;
use crate::client::prelude::*;
use actions::Action;
use clap::builder::TypedValueParser;
use pullyard_domain::run::dead_letter::{Advice, Queue};
use pullyard_domain::text::id::MessageId;
use pullyard_protocol::dead_letter::DeadLetter;

const ID_CHARS: usize = 36;

/// List, show, requeue and drop messages that failed too often.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard dlq
  pullyard dlq redrive --all --queue effects
  pullyard dlq drop 5f0c2f0e --yes")]
pub(crate) struct Dlq {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List dead letters with their effect and the advice for each.
    #[command(after_help = "Examples:
  pullyard dlq list
  pullyard dlq list --queue dispatch --json")]
    List {
        /// Only this queue.
        #[arg(long, value_name = "QUEUE", ignore_case = true, value_parser = queue_parser())]
        queue: Option<Queue>,
    },
    /// Show a dead letter with its message.
    #[command(after_help = "Examples:
  pullyard dlq show 5f0c2f0e
  pullyard dlq show 5f0c2f0e --json")]
    Show {
        /// Id, or its first characters.
        id: String,
    },
    /// Requeue dead letters; safe to repeat.
    #[command(after_help = "Examples:
  pullyard dlq redrive 5f0c2f0e
  pullyard dlq redrive --all --queue effects")]
    Redrive(Selection),
    /// Delete dead letters for good, after confirmation or with --yes.
    #[command(
        after_help = "Examples:\n  pullyard dlq drop 5f0c2f0e --yes\n  pullyard dlq drop --all --queue dispatch --yes"
    )]
    Drop {
        #[command(flatten)]
        which: Selection,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(clap::Args)]
struct Selection {
    /// Ids, or their first characters.
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All listed dead letters.
    #[arg(long)]
    all: bool,
    /// With --all, only this queue.
    #[arg(long, value_name = "QUEUE", ignore_case = true, value_parser = queue_parser(), requires = "all")]
    queue: Option<Queue>,
}

fn queue_parser() -> impl TypedValueParser<Value = Queue> {
    choices(Queue::ALL.map(|queue| (queue.as_str(), queue)))
}

impl Dlq {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        match self.command.unwrap_or(Command::List { queue: None }) {
            Command::List { queue } => list(session, queue).await,
            Command::Show { id } => show(session, &id).await,
            Command::Redrive(which) => actions::run(session, Action::Redrive, which, true).await,
            Command::Drop { which, yes } => actions::run(session, Action::Drop, which, yes).await,
        }
    }
}

async fn list(session: &Session, queue: Option<Queue>) -> Result<(), CliError> {
    let page = session.api.dead_letters(queue).await?;
    if session.screen.is_json() {
        return session.screen.json(&page);
    }
    let mut table =
        Table::new([Fixed("QUEUE"), Fixed("WHEN"), Right("SEEN"), Flexible("ABOUT"), Fixed("TO DO"), Fixed("MESSAGE")]);
    for letter in &page.letters {
        let cells = [
            Cell::text(letter.queue.as_str()),
            format::optional_time_cell(letter.sent_at),
            Cell::text(letter.received),
            about_cell(letter),
            advice_cell(letter.advice),
            Cell::text(&letter.id),
        ];
        table.row_with(cells, &letter.sentence);
    }
    let of_queue = queue.map(|queue| format!(" of {}", queue.as_str())).unwrap_or_default();
    table.show(&session.screen, &format!("The dead-letter queue{of_queue} is empty."))?;
    if page.more {
        session.screen.hint("there are more; redrive or drop these to see the next");
    }
    Ok(())
}

fn about_cell(letter: &DeadLetter) -> Cell {
    let kind = format::to_code(&letter.about).replace('_', " ");
    match &letter.name {
        Some(name) => Cell::new(format!("{kind} {name}"), name),
        None => Cell::new(kind, ""),
    }
}

fn advice_cell(advice: Advice) -> Cell {
    let colour = match advice {
        Advice::Drop => Colour::Grey,
        Advice::Either => Colour::Blue,
        Advice::Redrive => Colour::Yellow,
        Advice::Look => Colour::Magenta,
    };
    Cell::text(advice.label()).with_colour(colour)
}

async fn show(session: &Session, id: &str) -> Result<(), CliError> {
    let letter = match id.len() {
        ID_CHARS => session.api.dead_letter(&parse_id(id)?).await?,
        _ => find_by_prefix(id, &session.api.dead_letters(None).await?.letters)?.clone(),
    };
    if session.screen.is_json() {
        return session.screen.json(&letter);
    }
    let lines = [
        ("Message", Cell::text(&letter.id)),
        ("Queue", Cell::text(letter.queue.as_str())),
        ("When", format::optional_time_cell(letter.sent_at)),
        ("Seen", Cell::text(letter.received)),
        ("About", about_cell(&letter)),
        ("Project", Cell::optional(letter.project.as_ref())),
        ("What it does", Cell::text(&letter.sentence)),
        ("To do", advice_cell(letter.advice)),
        ("Body", Cell::text(&letter.body)),
    ];
    print_facts(&session.screen, &lines)?;
    session.screen.hint(&letter.help);
    session.screen.hint(&cause_hint(letter.queue, &letter.id));
    Ok(())
}

/// An undelivered event may have no log, because the function may never have run.
fn cause_hint(queue: Queue, id: &MessageId) -> String {
    match queue {
        Queue::Undelivered => "if the tasks function failed, see its log; if it was throttled, see its Throttles in \
                               CloudWatch; if it was not invoked, see FailedInvocations of the rule that ends in \
                               -task-state-changes"
            .to_owned(),
        _ => format!("the cause is in the log of the function, under message_id {id}"),
    }
}

fn parse_id(text: &str) -> Result<MessageId, CliError> {
    text.parse().map_err(|bad| CliError::usage(format!("{text} is not a message id: {bad}")))
}

fn find_by_prefix<'a>(prefix: &str, letters: &'a [DeadLetter]) -> Result<&'a DeadLetter, CliError> {
    let mut matches = letters.iter().filter(|letter| !prefix.is_empty() && letter.id.as_str().starts_with(prefix));
    match (matches.next(), matches.next()) {
        (Some(letter), None) => Ok(letter),
        (Some(_), Some(_)) => {
            Err(CliError::usage(format!("{prefix} matches more than one id")).with_help("write more characters"))
        }
        (None, _) => Err(CliError::not_found(format!("there is no dead letter {prefix}")).with_help(
            "`pullyard dlq list` lists them; a message that another command reads is hidden for half a minute",
        )),
    }
}
