//! Lists, redrives and drops dead letters. The log has the error of each message under its id.
//! The event of a stopped task has no queue of its own, so a redrive also runs its use case directly.

use crate::jobs::record_task_stop::record_task_stop;
use crate::{Context, Error};
use futures::future::join_all;
use pullyard_cloud::{DeadMessage, ReceivedBatch, Selection, Undelivered, parse_dead_letter};
use pullyard_domain::run::dead_letter::{DeadLetterMessage, Queue};
use pullyard_domain::text::id::MessageId;
use pullyard_domain::text::time::Timestamp;
use std::collections::BTreeSet;

const PAGE_SIZE: usize = 50;

const SEARCH_LIMIT: usize = 1_000;

const MAX_BODY_CHARS: usize = 4_000;

/// Limit for an event that cannot be parsed and may contain secrets. Units: characters.
const MAX_UNPARSED_CHARS: usize = 100;

#[derive(Clone, Debug)]
pub struct DeadLetterView {
    pub id: MessageId,
    pub queue: Queue,
    pub sent_at: Option<Timestamp>,
    /// Receive count, including listings.
    pub receive_count: u32,
    pub message: DeadLetterMessage,
    pub body: String,
}

#[derive(Clone, Debug, Default)]
pub struct DeadLetterPage {
    pub letters: Vec<DeadLetterView>,
    pub is_truncated: bool,
}

#[derive(Clone, Debug, Default)]
pub struct MoveResult {
    pub moved: Vec<DeadLetterView>,
    /// Letters that this version cannot read and thus not redrive, and letters that are gone, received by another
    /// reader, or beyond the search limit.
    pub not_moved: Vec<MessageId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterAction {
    Redrive,
    Drop,
}

/// Lists up to a page per queue.
pub async fn list_dead_letters(ctx: &Context, queue: Option<Queue>) -> Result<DeadLetterPage, Error> {
    let queues = Queue::ALL.into_iter().filter(|each| queue.is_none_or(|queue| queue == *each));
    let mut all = DeadLetterPage::default();
    // Concurrently, because an empty queue takes a second of long polling.
    for page in join_all(queues.map(|queue| list_queue(ctx, queue))).await {
        let page = page?;
        all.letters.extend(page.letters);
        all.is_truncated |= page.is_truncated;
    }
    Ok(all)
}

async fn list_queue(ctx: &Context, queue: Queue) -> Result<DeadLetterPage, Error> {
    let batch = ctx.dead_letters.receive(queue, Selection::UpTo(PAGE_SIZE), PAGE_SIZE).await?;
    let letters = batch.messages.iter().map(|message| to_dead_letter(queue, message)).collect();
    let more = batch.more;
    return_to_queue(ctx, queue, batch).await;
    Ok(DeadLetterPage { letters, is_truncated: more })
}

/// Errors: `NotFound`, also while another reader has received the letter; `Cloud`.
pub async fn get_dead_letter(ctx: &Context, id: &MessageId) -> Result<DeadLetterView, Error> {
    for queue in Queue::ALL {
        let ids = [id.clone()].into();
        let batch = ctx.dead_letters.receive(queue, Selection::Ids(&ids), SEARCH_LIMIT).await?;
        let found = batch.messages.first().map(|message| to_dead_letter(queue, message));
        return_to_queue(ctx, queue, batch).await;
        if let Some(letter) = found {
            return Ok(letter);
        }
    }
    Err(Error::not_found("dead letter", id))
}

/// Redrives or drops letters. A redriven task death is recorded.
/// Idempotent: a repeat may send a hint twice, but records a death once. Letters moved before are `not_moved`.
/// Errors: `Cloud`, `Store`. Letters processed before the error stay processed.
pub async fn move_dead_letters(
    ctx: &Context,
    ids: &BTreeSet<MessageId>,
    order: LetterAction,
) -> Result<MoveResult, Error> {
    let mut moved = MoveResult::default();
    let mut remaining = ids.clone();
    for queue in Queue::ALL {
        if remaining.is_empty() {
            break;
        }
        let mut batch = ctx.dead_letters.receive(queue, Selection::Ids(&remaining), SEARCH_LIMIT).await?;
        let found = std::mem::take(&mut batch.messages);
        let mut failed = None;
        for message in found {
            remaining.remove(&message.id);
            let letter = match failed {
                None => move_letter(ctx, queue, &message, order).await,
                Some(_) => Ok(None),
            };
            match letter {
                Ok(Some(letter)) => moved.moved.push(letter),
                Ok(None) => {
                    moved.not_moved.push(message.id.clone());
                    batch.messages.push(message);
                }
                Err(error) => {
                    batch.messages.push(message);
                    failed = Some(error);
                }
            }
        }
        return_to_queue(ctx, queue, batch).await;
        failed.map_or(Ok(()), Err)?;
    }
    moved.not_moved.extend(remaining);
    Ok(moved)
}

/// `None` for a letter that cannot be redriven, because this version cannot read it or its subject.
async fn move_letter(
    ctx: &Context,
    queue: Queue,
    message: &DeadMessage,
    order: LetterAction,
) -> Result<Option<DeadLetterView>, Error> {
    let letter = to_dead_letter(queue, message);
    match (order, &letter.message) {
        (LetterAction::Redrive, DeadLetterMessage::Unreadable) => return Ok(None),
        (LetterAction::Redrive, stored) => {
            // Record the death before deleting the letter. A crash in between only repeats the recording.
            if let DeadLetterMessage::TaskStop(_, stopped) = stored {
                match record_task_stop(ctx, stopped).await {
                    Ok(()) => {}
                    Err(error) if error.is_transient() => return Err(error),
                    Err(error) => {
                        tracing::error!(message.id = %letter.id, error = %error, "stopped task not recorded");
                        return Ok(None);
                    }
                }
            }
            ctx.dead_letters.redrive(queue, message).await?;
        }
        (LetterAction::Drop, _) => ctx.dead_letters.delete(queue, message).await?,
    }
    tracing::info!(message.id = %letter.id, queue = queue.as_str(), order = ?order, "dead letter moved");
    Ok(Some(letter))
}

async fn return_to_queue(ctx: &Context, queue: Queue, batch: ReceivedBatch) {
    if let Err(error) = ctx.dead_letters.make_visible(queue, batch).await {
        tracing::warn!(queue = queue.as_str(), error = %error, "dead letters stay hidden for 30 s");
    }
}

fn to_dead_letter(queue: Queue, message: &DeadMessage) -> DeadLetterView {
    DeadLetterView {
        id: message.id.clone(),
        queue,
        sent_at: message.sent_at,
        receive_count: message.receive_count,
        message: parse_dead_letter(queue, &message.body),
        body: pullyard_domain::text::truncate(&redact_body(queue, &message.body), MAX_BODY_CHARS),
    }
}

/// Omits the unparsed fields of an ECS event: they contain the task's environment with its token.
fn redact_body(queue: Queue, body: &str) -> String {
    if queue != Queue::Undelivered {
        return body.to_owned();
    }
    let event = serde_json::from_str::<Undelivered>(body)
        .ok()
        .and_then(|undelivered| serde_json::to_string(&undelivered.event).ok());
    event.unwrap_or_else(|| body.chars().take(MAX_UNPARSED_CHARS).collect())
}
