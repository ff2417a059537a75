//! The messages that failed too often: what each would have done and whether it still matters; sending back
//! and dropping.
//!
//! A queue is a hint and the table the truth, so a dead letter is explained from the table, not from the error
//! that it met: that is in the log, under the message's id.
//!
//! A death of a task that the tasks function did not get stood in no queue of ours: sent back, it is noted here and
//! now, by the use case that the function has.

use crate::review::{Reach, project_of};
use crate::{Context, Error, task_stopped};
use futures::future::try_join_all;
use pullyard_cloud::{DeadMessage, Look, Undelivered, Wanted};
use pullyard_domain::dead_letter::{About, Advice, DeadLetter, Queue, Subject};
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{DeliveryId, MessageId, ProjectId};
use pullyard_domain::review::ReviewEvent;
use pullyard_domain::time::Timestamp;
use pullyard_domain::wakeup::{Effect, JobWakeup, QueuedReview};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many of each queue are shown at once.
const SHOWN: usize = 50;

/// How many messages of a queue are looked through for those that somebody named, or that have the wanted advice.
const SEARCHED: usize = 1_000;

/// For how long those of one advice are looked for: whoever asks gives up after 20 s and asks once more, and would be
/// told of nothing while this look still holds what it took.
const SEARCHES_FOR: Duration = Duration::from_secs(10);

/// How many are explained at once: a thousand one after the other would last longer than their caller waits.
const EXPLAINED_AT_ONCE: usize = 10;

/// How much of a message is shown. Units: characters.
const LONGEST_BODY: usize = 4_000;

/// How much of a message that can't be read is part of its sentence. Units: characters.
const LONGEST_START: usize = 100;

/// A dead letter with what is so now.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its id.
    pub id: MessageId,
    /// Where it failed.
    pub queue: Queue,
    /// When it was sent, or put here.
    pub sent_at: Option<Timestamp>,
    /// How often it was given out, looks included.
    pub received: u32,
    /// What it was about.
    pub about: About,
    /// That thing's name.
    pub name: Option<String>,
    /// Whose it is, where that is known.
    pub project: Option<ProjectId>,
    /// What it would have done, and what to do.
    pub says: DeadLetter,
    /// The message, cut; nothing in it does harm on a screen.
    pub body: String,
}

/// What stands in the dead-letter queues.
#[derive(Clone, Debug, Default)]
pub struct Letters {
    /// As they came.
    pub letters: Vec<Letter>,
    /// There are more.
    pub more: bool,
}

/// What became of an order about dead letters.
#[derive(Clone, Debug, Default)]
pub struct Moved {
    /// Those that it was done to, as they were.
    pub done: Vec<Letter>,
    /// Those that can't be sent back: nobody here can read them.
    pub unreadable: Vec<Letter>,
    /// Those that were not found: gone, looked at by somebody else at this moment, or behind others.
    pub missing: Vec<MessageId>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Back to the queue that it failed in.
    Redrive,
    /// Away.
    Drop,
}

/// Every dead letter, or those of one queue, or those for which this is advised; so many of each queue as fit on a
/// page. Of a queue that this process was not told of there are none, unless it is the one that was asked for.
///
/// Those of one advice are looked for behind the others, among so many as are looked through at most, and for as long.
/// Errors: a queue's.
pub async fn dead_letters(ctx: &Context, queue: Option<Queue>, advice: Option<Advice>) -> Result<Letters, Error> {
    let of = async |one: Queue| match (queue, advice) {
        (Some(only), _) if only != one => Ok(Letters::default()),
        (None, _) if !ctx.dead_letters.knows(one) => Ok(Letters::default()),
        (_, None) => of_queue(ctx, one).await,
        (_, Some(advice)) => advised(ctx, one, advice).await,
    };
    // Together: each waits a second where nothing stands.
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
    let more = look.more;
    let explained = explain_all(ctx, queue, &look).await;
    put_back(ctx, queue, look).await;
    Ok(Letters { letters: explained?, more })
}

/// Those of a queue for which this is advised.
async fn advised(ctx: &Context, queue: Queue, advice: Advice) -> Result<Letters, Error> {
    let mut looks = Vec::new();
    let letters = search(ctx, queue, advice, &mut looks).await;
    // The last look first, as within one: a queue that puts each in front ends in the order it had.
    for look in looks.into_iter().rev() {
        put_back(ctx, queue, look).await;
    }
    letters
}

/// Looks page by page, and keeps what it took: only so is the next page another one.
async fn search(ctx: &Context, queue: Queue, advice: Advice, looks: &mut Vec<Look>) -> Result<Letters, Error> {
    let mut all = Letters::default();
    let began = ctx.clock.steady();
    for _ in 0..SEARCHED / SHOWN {
        let look = ctx.dead_letters.look(queue, Wanted::Any(SHOWN), SHOWN).await?;
        let explained = explain_all(ctx, queue, &look).await;
        all.more = look.more;
        looks.push(look);
        all.letters.extend(explained?.into_iter().filter(|letter| letter.says.class() == advice));
        let is_late = ctx.clock.steady().saturating_sub(began) >= SEARCHES_FOR;
        if !all.more || all.letters.len() >= SHOWN || is_late {
            break;
        }
    }
    all.more |= all.letters.len() > SHOWN;
    all.letters.truncate(SHOWN);
    Ok(all)
}

/// One dead letter.
///
/// Errors: `NotFound` also while somebody else looks at it; a queue's.
pub async fn dead_letter(ctx: &Context, id: &MessageId) -> Result<Letter, Error> {
    for queue in known(ctx) {
        let ids = [id.clone()].into();
        let look = ctx.dead_letters.look(queue, Wanted::These(&ids), SEARCHED).await?;
        let explained = explain_all(ctx, queue, &look).await;
        put_back(ctx, queue, look).await;
        if let Some(letter) = explained?.into_iter().next() {
            return Ok(letter);
        }
    }
    Err(Error::NotFound { what: "dead letter", name: id.to_string() })
}

/// Sends these back to the queues that they failed in, or drops them. A death that is sent back is noted.
///
/// Idempotent: what is sent back twice is a hint twice, a death is noted once, and what is dropped is gone; one that
/// an earlier call moved is `missing`.
/// Errors: a queue's, or the table's; those that were done before it stay done.
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

/// Whether it is gone from here.
async fn do_one(
    ctx: &Context,
    queue: Queue,
    message: &DeadMessage,
    order: Order,
    moved: &mut Moved,
) -> Result<bool, Error> {
    let subject = subject(ctx, queue, &message.body).await?;
    let letter = explain(queue, message, &subject, ctx.clock.now());
    match order {
        Order::Redrive if !subject.may_be_redriven(queue) => {
            moved.unreadable.push(letter);
            return Ok(false);
        }
        Order::Redrive => {
            // First what it says: stopped in between, it is said once more and changes nothing.
            if let Subject::Death(_, stopped, _) = &subject {
                task_stopped(ctx, stopped).await?;
            }
            ctx.dead_letters.redrive(queue, message).await?;
        }
        Order::Drop => ctx.dead_letters.delete(queue, message).await?,
    }
    tracing::info!(message.id = %letter.id, queue = queue.as_str(), order = ?order, code = letter.says.code(), "a dead letter was moved");
    moved.done.push(letter);
    Ok(true)
}

async fn put_back(ctx: &Context, queue: Queue, look: Look) {
    if let Err(error) = ctx.dead_letters.put_back(queue, look).await {
        tracing::warn!(queue = queue.as_str(), error = %error, "dead letters are hidden for half a minute");
    }
}

async fn explain_all(ctx: &Context, queue: Queue, look: &Look) -> Result<Vec<Letter>, Error> {
    let mut letters = Vec::with_capacity(look.found.len());
    for some in look.found.chunks(EXPLAINED_AT_ONCE) {
        let explained = try_join_all(some.iter().map(|message| explain_one(ctx, queue, message))).await?;
        letters.extend(explained);
    }
    Ok(letters)
}

async fn explain_one(ctx: &Context, queue: Queue, message: &DeadMessage) -> Result<Letter, Error> {
    let subject = subject(ctx, queue, &message.body).await?;
    Ok(explain(queue, message, &subject, ctx.clock.now()))
}

fn explain(queue: Queue, message: &DeadMessage, subject: &Subject, now: Timestamp) -> Letter {
    Letter {
        id: message.id.clone(),
        queue,
        sent_at: message.sent_at,
        received: message.received,
        about: subject.about(),
        name: subject.name(),
        project: subject.project(),
        says: subject.explained(now),
        body: pullyard_domain::text::clipped(&shown(queue, &message.body), LONGEST_BODY),
    }
}

/// What may be shown of a message. Ours have nothing in them that is secret; ECS's events have the variables of their
/// task, its token among them.
fn shown(queue: Queue, body: &str) -> String {
    if queue != Queue::Undelivered {
        return body.to_owned();
    }
    let event = serde_json::from_str::<Undelivered>(body).ok().and_then(|kept| serde_json::to_string(&kept.event).ok());
    event.unwrap_or_else(|| beginning(body))
}

fn beginning(body: &str) -> String {
    body.chars().take(LONGEST_START).collect()
}

/// The same, whatever the table has: an item that can't be read is why some letters are here.
async fn subject(ctx: &Context, queue: Queue, body: &str) -> Result<Subject, Error> {
    match subject_of(ctx, queue, body).await {
        Err(error) if !error.is_transient() => Ok(Subject::Corrupt(error.to_string())),
        subject => subject,
    }
}

/// What a message of this queue was about, with that as it is now.
async fn subject_of(ctx: &Context, queue: Queue, body: &str) -> Result<Subject, Error> {
    let unreadable = || Ok(Subject::Unreadable(beginning(body)));
    let store = &ctx.store;
    if queue == Queue::Undelivered {
        let Ok(Undelivered { why, event }) = serde_json::from_str(body) else { return unreadable() };
        let Some(stopped) = event.stopped() else { return Ok(Subject::DeathOfOther(why)) };
        let stored = store.job(&stopped.job).await?.map(Box::new);
        return Ok(Subject::Death(why, Box::new(stopped), stored));
    }
    if queue == Queue::Dispatch {
        let Ok(JobWakeup { job }) = serde_json::from_str(body) else { return unreadable() };
        let stored = store.job(&job).await?.map(Box::new);
        return Ok(Subject::Start(job, stored));
    }
    let Ok(effect) = serde_json::from_str(body) else { return unreadable() };
    Ok(match effect {
        Effect::Settle(wakeup) => {
            let stored = store.ticket(&wakeup.project, &wakeup.ticket).await?.map(Box::new);
            Subject::Settle(wakeup.project, wakeup.ticket, stored)
        }
        Effect::Admit(wakeup) => {
            let stored = store.job(&wakeup.job).await?.map(Box::new);
            Subject::Admit(wakeup.job, stored)
        }
        Effect::Tell(wakeup) => {
            let stored = store.pull_request(&wakeup.pull_request).await?.map(Box::new);
            Subject::Tell(wakeup.pull_request, stored)
        }
        Effect::Recover(wakeup) => {
            let stored = store.hook(&wakeup.recover).await?.map(Box::new);
            Subject::Recover(wakeup.recover, stored)
        }
        Effect::Poll(wakeup) => {
            let poll = store.poll(&wakeup.poll, &wakeup.integration, wakeup.repository).await?.map(Box::new);
            let (project, integration, repository) = (wakeup.poll, wakeup.integration, wakeup.repository);
            Subject::Poll { project, integration, repository, poll }
        }
        Effect::Review(queued) => {
            let QueuedReview { hook, projects, event } = *queued;
            let Some(reach) = Reach::over(hook, projects) else { return unreadable() };
            match decided(ctx, &reach, &event).await {
                Ok((entry, decided)) => Subject::Review(Box::new(event), entry, decided),
                // Whether it was decided, nobody can say; dropped, it would be lost.
                Err(error) if !error.is_transient() => Subject::ReviewCorrupt(Box::new(event), error.to_string()),
                Err(error) => return Err(error),
            }
        }
    })
}

/// The ledger entry of a review, and what stands there.
async fn decided(
    ctx: &Context,
    reach: &Reach,
    event: &ReviewEvent,
) -> Result<(DeliveryId, Option<Box<Delivery>>), Error> {
    let entry = event.ledger_id(&project_of(ctx, reach, &event.pull_request).await?);
    let decided = ctx.store.delivery(&entry).await?.map(Box::new);
    Ok((entry, decided))
}
