//! Redrives or drops selected dead letters.

use super::{ID_CHARS, Selection, find_by_prefix, parse_id};
use crate::client::format::format_count;
use crate::client::prelude::*;
use pullyard_domain::run::dead_letter::Queue;
use pullyard_domain::text::id::MessageId;
use pullyard_protocol::dead_letter::{DeadLetter, MAX_MESSAGES, MoveDeadLetters, MoveDeadLettersAnswer};
use std::collections::BTreeSet;

/// Limits `--all`, because messages may arrive faster than it moves them.
const MAX_ROUNDS: usize = 100;

#[derive(Clone, Copy)]
pub(super) enum Action {
    Redrive,
    Drop,
}

pub(super) async fn run(session: &Session, action: Action, which: Selection, yes: bool) -> Result<(), CliError> {
    match which.all {
        true => run_on_all(session, action, which.queue, yes).await,
        false => run_on_named(session, action, &which.ids, yes).await,
    }
}

async fn run_on_named(session: &Session, action: Action, names: &[String], yes: bool) -> Result<(), CliError> {
    let ids = resolve_ids(session, names).await?;
    let subject = if ids.len() == 1 { "this message".to_owned() } else { format!("these {} messages", ids.len()) };
    confirm_drop(session, action, &subject, yes)?;
    let moved = move_messages(session, action, &ids).await?;
    print_moved(&session.screen, action, &moved)?;
    let Some(id) = moved.not_moved.first() else { return Ok(()) };
    let fault = match action {
        Action::Redrive => CliError::new(Exit::Refused, format!("the dead letter {id} can't be requeued"))
            .with_help(format!("`pullyard dlq show {id}` shows the reason, or that it is gone")),
        Action::Drop => CliError::not_found(format!("there is no dead letter {id}"))
            .with_help("it is deleted, or another command reads it: try again in half a minute"),
    };
    Err(fault.printed(&session.screen))
}

/// Lists and moves messages until the list contains no new one, because one page does not list all.
async fn run_on_all(session: &Session, action: Action, queue: Option<Queue>, yes: bool) -> Result<(), CliError> {
    let mut page = session.api.dead_letters(queue).await?;
    if !page.letters.is_empty() {
        confirm_drop(session, action, "all listed messages", yes)?;
    }
    let mut moved = MoveDeadLettersAnswer::default();
    let mut processed = BTreeSet::new();
    for _ in 0..MAX_ROUNDS {
        let ids = page.letters.iter().map(|letter| letter.id.clone());
        let pending: BTreeSet<_> = ids.filter(|id| !processed.contains(id)).collect();
        if pending.is_empty() {
            break;
        }
        let answer = move_messages(session, action, &pending).await?;
        moved.done.extend(answer.done);
        moved.not_moved.extend(answer.not_moved);
        processed.extend(pending);
        page = session.api.dead_letters(queue).await?;
    }
    print_moved(&session.screen, action, &moved)?;
    let remains = |letter: &DeadLetter| !processed.contains(&letter.id) || moved.not_moved.contains(&letter.id);
    if !page.more && !page.letters.iter().any(remains) {
        return Ok(());
    }
    let fault = CliError::failed("not all messages were moved").with_help(
        "redrive or drop what `pullyard dlq` lists, then run it again; an unreadable message can only be dropped, and \
         one that another command reads is hidden for half a minute",
    );
    Err(fault.printed(&session.screen))
}

fn confirm_drop(session: &Session, action: Action, subject: &str, yes: bool) -> Result<(), CliError> {
    match action {
        Action::Redrive => Ok(()),
        Action::Drop => confirm(&session.screen, yes, &format!("Drop {subject}? This can't be undone.")),
    }
}

async fn resolve_ids(session: &Session, names: &[String]) -> Result<BTreeSet<MessageId>, CliError> {
    let is_whole = |name: &String| name.len() == ID_CHARS;
    let letters = match names.iter().all(is_whole) {
        true => Vec::new(),
        false => session.api.dead_letters(None).await?.letters,
    };
    let resolve = |name: &String| match is_whole(name) {
        true => parse_id(name),
        false => find_by_prefix(name, &letters).map(|letter| letter.id.clone()),
    };
    names.iter().map(resolve).collect()
}

async fn move_messages(
    session: &Session,
    action: Action,
    ids: &BTreeSet<MessageId>,
) -> Result<MoveDeadLettersAnswer, CliError> {
    let mut moved = MoveDeadLettersAnswer::default();
    for chunk in ids.iter().collect::<Vec<_>>().chunks(MAX_MESSAGES) {
        let request = MoveDeadLetters { messages: chunk.iter().map(|id| (*id).clone()).collect() };
        let answer = match action {
            Action::Redrive => session.api.redrive(&request).await?,
            Action::Drop => session.api.drop_dead_letters(&request).await?,
        };
        moved.done.extend(answer.done);
        moved.not_moved.extend(answer.not_moved);
    }
    Ok(moved)
}

fn print_moved(screen: &Screen, action: Action, moved: &MoveDeadLettersAnswer) -> Result<(), CliError> {
    if screen.is_json() {
        return screen.json(moved);
    }
    for letter in &moved.done {
        screen.print_line(letter.id.as_str())?;
    }
    if moved.done.is_empty() && moved.not_moved.is_empty() {
        screen.note("The dead-letter queue is empty.");
    } else {
        let count = format_count(moved.done.len(), "message");
        screen.note(&match action {
            Action::Redrive => format!("Requeued {count}."),
            Action::Drop => format!("Dropped {count}."),
        });
    }
    Ok(())
}
