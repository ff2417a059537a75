//! `pullyard dlq`: lists, shows, redrives and drops dead letters.

use super::fault::{Exit, Fault};
use super::screen::Colour;
use super::session::Session;
use super::table::{Cell, Column, Table, facts};
use super::{ask, words};
use clap::Subcommand;
use pullyard_domain::dead_letter::{Advice, Queue};
use pullyard_domain::id::MessageId;
use pullyard_protocol::dead_letter::{DeadLetter, MOST_NAMED, MoveDeadLetters, MovedDeadLetters};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Limits `--all` in case messages arrive as fast as they are moved.
const MOST_ROUNDS: usize = 100;

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
        /// Only this queue: dispatch, effects, undelivered.
        #[arg(long, value_name = "QUEUE", value_parser = queue)]
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
    Redrive(Which),
    /// Delete dead letters for good, after confirmation or with --yes.
    #[command(
        after_help = "Examples:\n  pullyard dlq drop 5f0c2f0e --yes\n  pullyard dlq drop --all --queue dispatch --yes"
    )]
    Drop {
        #[command(flatten)]
        which: Which,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(clap::Args)]
struct Which {
    /// Ids, or their first characters.
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All listed dead letters.
    #[arg(long)]
    all: bool,
    /// With --all, only this queue: dispatch, effects, undelivered.
    #[arg(long, value_name = "QUEUE", value_parser = queue, requires = "all")]
    queue: Option<Queue>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Redrive,
    Drop,
}

impl Order {
    fn done(self) -> &'static str {
        match self {
            Self::Redrive => "Requeued",
            Self::Drop => "Dropped",
        }
    }
}

fn queue(word: &str) -> Result<Queue, String> {
    let meant = word.trim().to_lowercase();
    let named = Queue::ALL.into_iter().find(|queue| queue.as_str() == meant);
    named.ok_or_else(|| format!("unknown queue; use one of {}", Queue::ALL.map(Queue::as_str).join(", ")))
}

impl Dlq {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        match self.command.unwrap_or(Command::List { queue: None }) {
            Command::List { queue } => list(session, queue).await?,
            Command::Show { id } => show(session, &id).await?,
            Command::Redrive(which) => return order(session, Order::Redrive, which, true).await,
            Command::Drop { which, yes } => return order(session, Order::Drop, which, yes).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(session: &Session, queue: Option<Queue>) -> Result<(), Fault> {
    let page = session.api.dead_letters(queue).await?;
    if session.screen.is_json() {
        return session.screen.json(&page);
    }
    let columns = [
        Column::Whole("QUEUE"),
        Column::Whole("WHEN"),
        Column::Right("SEEN"),
        Column::Text("ABOUT"),
        Column::Whole("TO DO"),
        Column::Whole("MESSAGE"),
    ];
    let mut table = Table::new(columns);
    for letter in &page.letters {
        let cells = [
            Cell::same(letter.queue.as_str()),
            when(letter),
            Cell::same(letter.received.to_string()),
            about(letter),
            advice(letter.advice),
            Cell::same(letter.id.as_str()),
        ];
        table.row_with(cells, &letter.sentence);
    }
    let of = queue.map(|queue| format!(" of {}", queue.as_str())).unwrap_or_default();
    table.show(&session.screen, &format!("The dead-letter queue{of} is empty."))?;
    if page.more {
        session.screen.hint("there are more; redrive or drop these to see the next");
    }
    Ok(())
}

fn when(letter: &DeadLetter) -> Cell {
    letter.sent_at.map_or_else(|| Cell::maybe(None::<&str>), |at| words::when(at, words::now()))
}

fn about(letter: &DeadLetter) -> Cell {
    let kind = words::wire(&letter.about).replace('_', " ");
    match &letter.name {
        Some(name) => Cell::new(format!("{kind} {name}"), name),
        None => Cell::new(kind, ""),
    }
}

fn advice(advice: Advice) -> Cell {
    let colour = match advice {
        Advice::Drop => Colour::Muted,
        Advice::Either => Colour::Blue,
        Advice::Redrive => Colour::Yellow,
        Advice::Look => Colour::Magenta,
    };
    Cell::same(advice.label()).coloured(colour)
}

async fn show(session: &Session, said: &str) -> Result<(), Fault> {
    let letter = match said.len() {
        36 => session.api.dead_letter(&id(said)?).await?,
        _ => meant(said, &session.api.dead_letters(None).await?.letters)?.clone(),
    };
    if session.screen.is_json() {
        return session.screen.json(&letter);
    }
    let lines = [
        ("Message", Cell::same(letter.id.as_str())),
        ("Queue", Cell::same(letter.queue.as_str())),
        ("When", when(&letter)),
        ("Seen", Cell::same(letter.received.to_string())),
        ("About", about(&letter)),
        ("Project", Cell::maybe(letter.project.as_ref().map(|project| project.as_str()))),
        ("What it does", Cell::same(&letter.sentence)),
        ("To do", advice(letter.advice)),
        ("Body", Cell::same(&letter.body)),
    ];
    facts(&session.screen, &lines)?;
    session.screen.hint(&letter.help);
    session.screen.hint(&where_why_stands(letter.queue, &letter.id));
    Ok(())
}

/// An undelivered event may have no log, because the function may never have run.
fn where_why_stands(queue: Queue, id: &MessageId) -> String {
    let of_death = "if the tasks function failed, see its log; if it was throttled, see its Throttles in \
                    CloudWatch; if it was not invoked, see FailedInvocations of the rule that ends in \
                    -task-state-changes";
    match queue {
        Queue::Undelivered => of_death.to_owned(),
        _ => format!("the cause is in the log of the function, under message_id {id}"),
    }
}

fn id(said: &str) -> Result<MessageId, Fault> {
    said.parse().map_err(|bad| Fault::usage(format!("{said} is not a message id: {bad}")))
}

fn meant<'a>(said: &str, letters: &'a [DeadLetter]) -> Result<&'a DeadLetter, Fault> {
    let mut found = letters.iter().filter(|letter| !said.is_empty() && letter.id.as_str().starts_with(said));
    match (found.next(), found.next()) {
        (Some(letter), None) => Ok(letter),
        (Some(_), Some(_)) => {
            Err(Fault::usage(format!("{said} matches more than one id")).help("write more characters"))
        }
        (None, _) => Err(Fault::not_found(format!("there is no dead letter {said}"))
            .help("`pullyard dlq list` lists them; a message that another command reads is hidden for half a minute")),
    }
}

async fn order(session: &Session, order: Order, which: Which, yes: bool) -> Result<ExitCode, Fault> {
    let all = which.all;
    let mut listed = match all {
        true => look(session, &which).await?,
        false => Listed { ids: named(session, &which.ids).await?, more: false },
    };
    if order == Order::Drop && !listed.ids.is_empty() {
        let what = match (all, listed.ids.len()) {
            (true, _) => "all listed messages".to_owned(),
            (false, 1) => "this message".to_owned(),
            (false, count) => format!("these {count} messages"),
        };
        ask::confirm(&session.screen, yes, &format!("Drop {what}? This can't be undone."))?;
    }
    let mut moved = MovedDeadLetters { done: Vec::new(), unreadable: Vec::new(), missing: Vec::new() };
    let mut seen = BTreeSet::new();
    for _ in 0..MOST_ROUNDS {
        let now = listed.ids.difference(&seen).cloned().collect::<Vec<_>>();
        if now.is_empty() {
            break;
        }
        for some in now.chunks(MOST_NAMED) {
            let request = MoveDeadLetters { messages: some.iter().cloned().collect() };
            let more = match order {
                Order::Redrive => session.api.redrive(&request).await?,
                Order::Drop => session.api.drop_dead_letters(&request).await?,
            };
            moved.done.extend(more.done);
            moved.unreadable.extend(more.unreadable);
            moved.missing.extend(more.missing);
        }
        seen.extend(now);
        if !all {
            break;
        }
        listed = look(session, &which).await?;
    }
    let stays = |id: &MessageId| !seen.contains(id) || moved.missing.contains(id);
    let reached = match all {
        false => Reached::Named,
        true if listed.more || listed.ids.iter().any(stays) => Reached::NotAll,
        true => Reached::All,
    };
    tell(session, order, &moved, reached)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Named,
    All,
    NotAll,
}

struct Listed {
    ids: BTreeSet<MessageId>,
    more: bool,
}

async fn look(session: &Session, which: &Which) -> Result<Listed, Fault> {
    let page = session.api.dead_letters(which.queue).await?;
    Ok(Listed { ids: page.letters.into_iter().map(|letter| letter.id).collect(), more: page.more })
}

async fn named(session: &Session, said: &[String]) -> Result<BTreeSet<MessageId>, Fault> {
    let mut letters = None;
    let mut ids = BTreeSet::new();
    for one in said {
        if one.len() == 36 {
            ids.insert(id(one)?);
            continue;
        }
        let listed = match letters.take() {
            Some(listed) => listed,
            None => session.api.dead_letters(None).await?.letters,
        };
        ids.insert(meant(one, &listed)?.id.clone());
        letters = Some(listed);
    }
    Ok(ids)
}

fn tell(session: &Session, order: Order, moved: &MovedDeadLetters, reached: Reached) -> Result<ExitCode, Fault> {
    let screen = &session.screen;
    if screen.is_json() {
        screen.json(moved)?;
    } else {
        for letter in &moved.done {
            screen.out(letter.id.as_str())?;
        }
        match moved.done.len() {
            0 if reached != Reached::NotAll && moved.unreadable.is_empty() && moved.missing.is_empty() => {
                screen.note("The dead-letter queue is empty.");
            }
            1 => screen.note(&format!("{} 1 message.", order.done())),
            count => screen.note(&format!("{} {count} messages.", order.done())),
        }
    }
    let behind = (reached == Reached::NotAll).then(|| {
        Fault::new(Exit::Failed, "not all messages were searched").help(
            "redrive or drop what `pullyard dlq` lists first, then run it again; a message that another command reads is \
             hidden for half a minute",
        )
    });
    if let Some(letter) = moved.unreadable.first() {
        let count = moved.unreadable.len();
        let fault = Fault::new(Exit::Refused, format!("{count} can't be requeued, including {}", letter.id));
        if let Some(behind) = behind {
            behind.say(screen);
        }
        return Ok(fault.help(letter.help.clone()).after_the_answer(screen));
    }
    match (behind, moved.missing.first()) {
        (Some(behind), _) => Ok(behind.after_the_answer(screen)),
        (None, Some(id)) if reached == Reached::Named => Ok(Fault::not_found(format!("there is no dead letter {id}"))
            .help("it is deleted, or another command reads it: try again in half a minute")
            .after_the_answer(screen)),
        _ => Ok(ExitCode::SUCCESS),
    }
}
