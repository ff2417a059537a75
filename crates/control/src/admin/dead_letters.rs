//! Lists, redrives and drops dead letters. The log has the error of each message under its id.
//!
//! The event of a stopped task has no queue of its own, so a redrive also runs its use case directly.

use crate::jobs::task_stopped::task_stopped;
use crate::{Context, Error};
use pullyard_cloud::{DeadMessage, Look, Undelivered, Wanted, parse_dead_letter};
use pullyard_domain::dead_letter::{DeadLetterMessage, Queue};
use pullyard_domain::id::MessageId;
use pullyard_domain::time::Timestamp;
use std::collections::BTreeSet;

const SHOWN: usize = 50;

const SEARCHED: usize = 1_000;

/// Limit of the shown body. Units: characters.
const LONGEST_BODY: usize = 4_000;

/// Limit for an event that cannot be parsed and may contain secrets. Units: characters.
const LONGEST_START: usize = 100;

#[derive(Clone, Debug)]
pub struct Letter {
    pub id: MessageId,
    pub queue: Queue,
    pub sent_at: Option<Timestamp>,
    /// Receive count, including listings.
    pub received: u32,
    pub message: DeadLetterMessage,
    pub body: String,
}

#[derive(Clone, Debug, Default)]
pub struct Letters {
    pub letters: Vec<Letter>,
    pub more: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Moved {
    pub done: Vec<Letter>,
    /// Letters that stay in the queue, because this version cannot parse them or their subject.
    pub unreadable: Vec<Letter>,
    /// Letters that are gone, received by another reader, or beyond the search limit.
    pub missing: Vec<MessageId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Redrive,
    Drop,
}

/// Lists up to a page per queue. Skips queues unknown to this process, unless requested by name.
pub async fn dead_letters(ctx: &Context, queue: Option<Queue>) -> Result<Letters, Error> {
    let of = async |one: Queue| match queue {
        Some(only) if only != one => Ok(Letters::default()),
        None if !ctx.dead_letters.knows(one) => Ok(Letters::default()),
        _ => of_queue(ctx, one).await,
    };
    // Concurrently, because an empty queue takes a second of long polling.
    let (dispatch, effects, undelivered) =
        tokio::join!(of(Queue::Dispatch), of(Queue::Effects), of(Queue::Undelivered));
    let mut all = dispatch?;
    for more in [effects?, undelivered?] {
        all.letters.extend(more.letters);
        all.more |= more.more;
    }
    Ok(all)
}

fn known(ctx: &Context) -> impl Iterator<Item = Queue> {
    Queue::ALL.into_iter().filter(|queue| ctx.dead_letters.knows(*queue))
}

async fn of_queue(ctx: &Context, queue: Queue) -> Result<Letters, Error> {
    let look = ctx.dead_letters.look(queue, Wanted::Any(SHOWN), SHOWN).await?;
    let letters = look.found.iter().map(|message| letter(queue, message)).collect();
    let more = look.more;
    put_back(ctx, queue, look).await;
    Ok(Letters { letters, more })
}

/// Errors: `NotFound`, also while another reader has received the letter; `Cloud`.
pub async fn dead_letter(ctx: &Context, id: &MessageId) -> Result<Letter, Error> {
    for queue in known(ctx) {
        let ids = [id.clone()].into();
        let look = ctx.dead_letters.look(queue, Wanted::These(&ids), SEARCHED).await?;
        let found = look.found.first().map(|message| letter(queue, message));
        put_back(ctx, queue, look).await;
        if let Some(letter) = found {
            return Ok(letter);
        }
    }
    Err(Error::NotFound { what: "dead letter", name: id.to_string() })
}

/// Redrives or drops letters. A redriven task death is recorded.
///
/// Idempotent: a repeat may send a hint twice, but records a death once. Letters moved before are `missing`.
/// Errors: `Cloud`, `Store`. Letters processed before the error stay processed.
pub async fn move_dead_letters(ctx: &Context, ids: &BTreeSet<MessageId>, order: Order) -> Result<Moved, Error> {
    let mut moved = Moved::default();
    let mut left = ids.clone();
    for queue in known(ctx) {
        if left.is_empty() {
            break;
        }
        let mut look = ctx.dead_letters.look(queue, Wanted::These(&left), SEARCHED).await?;
        let found = std::mem::take(&mut look.found);
        let mut failed = None;
        for message in found {
            left.remove(&message.id);
            let done = match failed {
                None => do_one(ctx, queue, &message, order, &mut moved).await,
                Some(_) => Ok(false),
            };
            match done {
                Ok(true) => {}
                Ok(false) => look.found.push(message),
                Err(error) => {
                    look.found.push(message);
                    failed = Some(error);
                }
            }
        }
        put_back(ctx, queue, look).await;
        failed.map_or(Ok(()), Err)?;
    }
    moved.missing = left.into_iter().collect();
    Ok(moved)
}

async fn do_one(
    ctx: &Context,
    queue: Queue,
    message: &DeadMessage,
    order: Order,
    moved: &mut Moved,
) -> Result<bool, Error> {
    let letter = letter(queue, message);
    match (order, &letter.message) {
        (Order::Redrive, DeadLetterMessage::Unreadable) => {
            moved.unreadable.push(letter);
            return Ok(false);
        }
        (Order::Redrive, said) => {
            // Record the death before deleting the letter. A crash in between only repeats the recording.
            if let DeadLetterMessage::TaskStop(_, stopped) = said {
                match task_stopped(ctx, stopped).await {
                    Ok(()) => {}
                    Err(error) if error.is_transient() => return Err(error),
                    Err(error) => {
                        tracing::error!(message.id = %letter.id, error = %error, "stopped task not recorded");
                        moved.unreadable.push(letter);
                        return Ok(false);
                    }
                }
            }
            ctx.dead_letters.redrive(queue, message).await?;
        }
        (Order::Drop, _) => ctx.dead_letters.delete(queue, message).await?,
    }
    tracing::info!(message.id = %letter.id, queue = queue.as_str(), order = ?order, "dead letter moved");
    moved.done.push(letter);
    Ok(true)
}

async fn put_back(ctx: &Context, queue: Queue, look: Look) {
    if let Err(error) = ctx.dead_letters.put_back(queue, look).await {
        tracing::warn!(queue = queue.as_str(), error = %error, "dead letters stay hidden for 30 s");
    }
}

fn letter(queue: Queue, message: &DeadMessage) -> Letter {
    Letter {
        id: message.id.clone(),
        queue,
        sent_at: message.sent_at,
        received: message.received,
        message: parse_dead_letter(queue, &message.body),
        body: pullyard_domain::text::truncate(&shown(queue, &message.body), LONGEST_BODY),
    }
}

/// Omits the unparsed fields of an ECS event: they contain the task's environment with its token.
fn shown(queue: Queue, body: &str) -> String {
    if queue != Queue::Undelivered {
        return body.to_owned();
    }
    let event = serde_json::from_str::<Undelivered>(body).ok().and_then(|kept| serde_json::to_string(&kept.event).ok());
    event.unwrap_or_else(|| body.chars().take(LONGEST_START).collect())
}
