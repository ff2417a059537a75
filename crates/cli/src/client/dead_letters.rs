//! `pullyard dlq`: lists, shows, redrives and drops dead letters.

use super::choices::choices;
use super::prompt;
use crate::client::prelude::*;
use clap::builder::TypedValueParser;
use pullyard_domain::dead_letter::{Advice, Queue};
use pullyard_domain::id::MessageId;
use pullyard_protocol::dead_letter::{DeadLetter, MAX_MESSAGES, MoveDeadLetters, MoveDeadLettersAnswer};
use std::collections::BTreeSet;

/// Limits `--all`, because messages may arrive faster than it moves them.
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Redrive,
    Drop,
}

impl Action {
    fn past_tense(self) -> &'static str {
        match self {
            Self::Redrive => "Requeued",
            Self::Drop => "Dropped",
        }
    }
}

fn queue_parser() -> impl TypedValueParser<Value = Queue> {
    choices(Queue::ALL.map(|queue| (queue.as_str(), queue)))
}

impl Dlq {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        match self.command.unwrap_or(Command::List { queue: None }) {
            Command::List { queue } => list(session, queue).await,
            Command::Show { id } => show(session, &id).await,
            Command::Redrive(which) => run_action(session, Action::Redrive, which, true).await,
            Command::Drop { which, yes } => run_action(session, Action::Drop, which, yes).await,
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
            format::optional_time_cell(letter.sent_at, format::now()),
            Cell::text(letter.received),
            about_cell(letter),
            advice_cell(letter.advice),
            Cell::text(&letter.id),
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
        36 => session.api.dead_letter(&parse_id(id)?).await?,
        _ => find_by_prefix(id, &session.api.dead_letters(None).await?.letters)?.clone(),
    };
    if session.screen.is_json() {
        return session.screen.json(&letter);
    }
    let lines = [
        ("Message", Cell::text(&letter.id)),
        ("Queue", Cell::text(letter.queue.as_str())),
        ("When", format::optional_time_cell(letter.sent_at, format::now())),
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
    let of_death = "if the tasks function failed, see its log; if it was throttled, see its Throttles in \
                    CloudWatch; if it was not invoked, see FailedInvocations of the rule that ends in \
                    -task-state-changes";
    match queue {
        Queue::Undelivered => of_death.to_owned(),
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

async fn run_action(session: &Session, order: Action, which: Selection, yes: bool) -> Result<(), CliError> {
    let all = which.all;
    let mut listed = match all {
        true => list_ids(session, &which).await?,
        false => ListedIds { ids: resolve_ids(session, &which.ids).await?, more: false },
    };
    if order == Action::Drop && !listed.ids.is_empty() {
        let what = match (all, listed.ids.len()) {
            (true, _) => "all listed messages".to_owned(),
            (false, 1) => "this message".to_owned(),
            (false, count) => format!("these {count} messages"),
        };
        prompt::confirm(&session.screen, yes, &format!("Drop {what}? This can't be undone."))?;
    }
    let mut moved = MoveDeadLettersAnswer { done: Vec::new(), not_moved: Vec::new() };
    let mut processed = BTreeSet::new();
    for _ in 0..MOST_ROUNDS {
        let now = listed.ids.difference(&processed).cloned().collect::<Vec<_>>();
        if now.is_empty() {
            break;
        }
        for some in now.chunks(MAX_MESSAGES) {
            let request = MoveDeadLetters { messages: some.iter().cloned().collect() };
            let more = match order {
                Action::Redrive => session.api.redrive(&request).await?,
                Action::Drop => session.api.drop_dead_letters(&request).await?,
            };
            moved.done.extend(more.done);
            moved.not_moved.extend(more.not_moved);
        }
        processed.extend(now);
        if !all {
            break;
        }
        listed = list_ids(session, &which).await?;
    }
    let stays = |id: &MessageId| !processed.contains(id) || moved.not_moved.contains(id);
    let reached = match all {
        false => Coverage::Named,
        true if listed.more || listed.ids.iter().any(stays) => Coverage::Partial,
        true => Coverage::All,
    };
    report(session, order, &moved, reached)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coverage {
    Named,
    All,
    Partial,
}

struct ListedIds {
    ids: BTreeSet<MessageId>,
    more: bool,
}

async fn list_ids(session: &Session, which: &Selection) -> Result<ListedIds, CliError> {
    let page = session.api.dead_letters(which.queue).await?;
    Ok(ListedIds { ids: page.letters.into_iter().map(|letter| letter.id).collect(), more: page.more })
}

async fn resolve_ids(session: &Session, named: &[String]) -> Result<BTreeSet<MessageId>, CliError> {
    let mut letters = None;
    let mut ids = BTreeSet::new();
    for one in named {
        if one.len() == 36 {
            ids.insert(parse_id(one)?);
            continue;
        }
        let listed = match letters.take() {
            Some(listed) => listed,
            None => session.api.dead_letters(None).await?.letters,
        };
        ids.insert(find_by_prefix(one, &listed)?.id.clone());
        letters = Some(listed);
    }
    Ok(ids)
}

fn report(session: &Session, order: Action, moved: &MoveDeadLettersAnswer, reached: Coverage) -> Result<(), CliError> {
    let screen = &session.screen;
    if screen.is_json() {
        screen.json(moved)?;
    } else {
        for letter in &moved.done {
            screen.print_line(letter.id.as_str())?;
        }
        match moved.done.len() {
            0 if reached != Coverage::Partial && moved.not_moved.is_empty() => {
                screen.note("The dead-letter queue is empty.");
            }
            1 => screen.note(&format!("{} 1 message.", order.past_tense())),
            count => screen.note(&format!("{} {count} messages.", order.past_tense())),
        }
    }
    if reached == Coverage::Partial {
        let fault = CliError::failed("not all messages were moved").with_help(
            "redrive or drop what `pullyard dlq` lists, then run it again; an unreadable message can only be dropped, and \
             one that another command reads is hidden for half a minute",
        );
        return Err(fault.printed(screen));
    }
    let Some(id) = moved.not_moved.first().filter(|_| reached == Coverage::Named) else { return Ok(()) };
    let fault = match order {
        Action::Redrive => CliError::new(Exit::Refused, format!("the dead letter {id} can't be requeued"))
            .with_help(format!("`pullyard dlq show {id}` shows the reason, or that it is gone")),
        Action::Drop => CliError::not_found(format!("there is no dead letter {id}"))
            .with_help("it is deleted, or another command reads it: try again in half a minute"),
    };
    Err(fault.printed(screen))
}
