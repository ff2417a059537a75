//! The dead-letter queues: looking at what stands there, sending it back, deleting it.
//!
//! SQS has no call that shows a message without taking it. A look therefore takes messages for a moment
//! ([`HIDDEN`]), and gives back at its end what it did not delete. A handle is good only while its message is
//! hidden, so none leaves this process: who wants to do something with a message names it by its id, and it is
//! taken anew. Ids stay the same for as long as a message stands in its queue.

use crate::Error;
use crate::lazy::Lazy;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName,
};
use pullyard_domain::dead_letter::Queue;
use pullyard_domain::id::MessageId;
use pullyard_domain::time::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// How long a message that was taken is hidden from others, if whoever took it dies: longer than any request
/// lasts, and no longer, for a second look meanwhile does not see it.
const HIDDEN: Duration = Duration::from_secs(30);

/// How long a take waits where nothing stands. Not nothing at all: only a take that waits asks all of SQS's
/// servers, so that an empty answer means an empty queue. Units: seconds.
const WAIT: i32 = 1;

/// The most that SQS gives at once.
const BATCH: i32 = 10;

/// Where one queue and its dead-letter queue are.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The queue that functions read.
    pub queue_url: String,
    /// Where its messages go that failed too often; none if this process was not told.
    pub dead_url: Option<String>,
}

/// The dead-letter queues.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    client: Lazy<aws_sdk_sqs::Client>,
    dispatch: Lane,
    effects: Lane,
    undelivered: Option<String>,
}

/// A message that was taken for a moment.
#[derive(Clone, Debug)]
pub struct DeadMessage {
    /// Its id.
    pub id: MessageId,
    /// What it says.
    pub body: String,
    /// When it was sent; of a FIFO queue, when it failed for the last time.
    pub sent_at: Option<Timestamp>,
    /// How often it was taken, by looks too.
    pub received: u32,
    group: Option<String>,
    attributes: HashMap<String, MessageAttributeValue>,
    handle: String,
}

/// Which messages are looked for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// So many, whichever come.
    Any(usize),
    /// These.
    These(&'a BTreeSet<MessageId>),
}

/// What a look took.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The messages that were wanted.
    pub found: Vec<DeadMessage>,
    /// More may stand there.
    pub more: bool,
    /// Taken on the way.
    others: Vec<DeadMessage>,
}

impl DeadLetters {
    /// `dispatch` has standard queues, `effects` FIFO ones.
    pub fn new(config: &aws_config::SdkConfig, endpoint: Option<&str>, dispatch: Lane, effects: Lane) -> Self {
        let (config, endpoint) = (config.clone(), endpoint.map(str::to_owned));
        let client = Lazy::new(move || {
            let mut builder = aws_sdk_sqs::config::Builder::from(&config);
            builder.set_endpoint_url(endpoint);
            aws_sdk_sqs::Client::from_conf(builder.build())
        });
        Self { client, dispatch, effects, undelivered: None }
    }

    /// With the queue of events that the tasks function did not get, or failed on; none if this process was not told.
    pub fn and_undelivered(self, url: Option<String>) -> Self {
        Self { undelivered: url, ..self }
    }

    /// Whether this process was told where a queue's dead letters are.
    pub fn knows(&self, queue: Queue) -> bool {
        self.dead_url(queue).is_ok()
    }

    /// Takes messages until what is wanted was found or nothing more comes, at most `most` in all. Every look
    /// ends with [`put_back`](Self::put_back).
    ///
    /// Of a group of the FIFO queue only what stands first is seen, ten at most: the rest comes after it.
    /// Errors: `NoDeadLetters` when this process was not told where they are.
    pub async fn look(&self, queue: Queue, wanted: Wanted<'_>, most: usize) -> Result<Look, Error> {
        let mut look = Look::default();
        loop {
            let enough = match wanted {
                Wanted::Any(count) => look.found.len() >= count,
                Wanted::These(ids) => look.found.len() >= ids.len(),
            };
            if enough || look.found.len() + look.others.len() >= most {
                look.more = true;
                return Ok(look);
            }
            let room = most - look.found.len() - look.others.len();
            let taken = match self.take(queue, room).await {
                Ok(taken) => taken,
                Err(error) => {
                    // They show again by themselves; what went wrong first is what matters.
                    let _ = self.put_back(queue, look).await;
                    return Err(error);
                }
            };
            if taken.is_empty() {
                return Ok(look);
            }
            for message in taken {
                match wanted {
                    Wanted::These(ids) if !ids.contains(&message.id) => look.others.push(message),
                    _ => look.found.push(message),
                }
            }
        }
    }

    async fn take(&self, queue: Queue, most: usize) -> Result<Vec<DeadMessage>, Error> {
        let answer = self
            .client
            .receive_message()
            .queue_url(self.dead_url(queue)?)
            .max_number_of_messages(i32::try_from(most).unwrap_or(BATCH).min(BATCH))
            .wait_time_seconds(WAIT)
            .visibility_timeout(i32::try_from(HIDDEN.as_secs()).unwrap_or(i32::MAX))
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| Error::unavailable("look at dead letters", error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(read).collect())
    }

    /// Sends a message back to the queue that it failed in, then deletes it here. What came from no queue is only
    /// deleted: whoever asks has done what it says.
    ///
    /// Idempotent: stopped in between, it stands in both, and sending it once more does no harm: messages are
    /// hints. Its group is the one it had, so what is in turn stays in turn; its deduplication id is new, for
    /// the queue may have seen the old one a moment ago.
    pub async fn redrive(&self, queue: Queue, message: &DeadMessage) -> Result<(), Error> {
        let Some(lane) = self.lane(queue) else { return self.delete(queue, message).await };
        let fresh = message.group.as_ref().map(|_| format!("{:032x}", rand::random::<u128>()));
        self.client
            .send_message()
            .queue_url(&lane.queue_url)
            .message_body(&message.body)
            .set_message_attributes(Some(message.attributes.clone()).filter(|all| !all.is_empty()))
            .set_message_group_id(message.group.clone())
            .set_message_deduplication_id(fresh)
            .send()
            .await
            .map_err(|error| Error::unavailable("send a dead letter back", error))?;
        self.delete(queue, message).await
    }

    /// Deletes a message.
    ///
    /// Idempotent: one that is gone is gone.
    pub async fn delete(&self, queue: Queue, message: &DeadMessage) -> Result<(), Error> {
        let call = self.client.delete_message().queue_url(self.dead_url(queue)?).receipt_handle(&message.handle);
        call.send().await.map_err(|error| Error::unavailable("delete a dead letter", error))?;
        Ok(())
    }

    /// Shows again what a look took, so that the next one sees it at once. Best effort: after [`HIDDEN`] it is
    /// shown by itself.
    pub async fn put_back(&self, queue: Queue, look: Look) -> Result<(), Error> {
        let url = self.dead_url(queue)?;
        // The newest first: a queue that puts each in front ends in the order it had.
        let taken = look.found.into_iter().chain(look.others).rev().collect::<Vec<_>>();
        for some in taken.chunks(usize::try_from(BATCH).unwrap_or(1)) {
            let shown = some.iter().enumerate().filter_map(|(n, message)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string());
                entry.receipt_handle(&message.handle).visibility_timeout(0).build().ok()
            });
            let call = self.client.change_message_visibility_batch().queue_url(url);
            let call = call.set_entries(Some(shown.collect())).send().await;
            call.map_err(|error| Error::unavailable("show dead letters again", error))?;
        }
        Ok(())
    }

    /// None for what no queue of ours leads to.
    fn lane(&self, queue: Queue) -> Option<&Lane> {
        match queue {
            Queue::Dispatch => Some(&self.dispatch),
            Queue::Effects => Some(&self.effects),
            Queue::Undelivered => None,
        }
    }

    fn dead_url(&self, queue: Queue) -> Result<&str, Error> {
        let url = self.lane(queue).map_or(&self.undelivered, |lane| &lane.dead_url);
        url.as_deref().ok_or(Error::NoDeadLetters { queue: queue.as_str() })
    }
}

/// A message as it was received; none without an id or a handle, which SQS always gives.
fn read(message: Message) -> Option<DeadMessage> {
    let attributes = message.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).and_then(|value: &String| value.parse::<i64>().ok());
    Some(DeadMessage {
        id: MessageId::new(message.message_id?).ok()?,
        body: message.body.unwrap_or_default(),
        sent_at: number(MessageSystemAttributeName::SentTimestamp).map(Timestamp::from_millis),
        received: number(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        group: attributes.get(&MessageSystemAttributeName::MessageGroupId).cloned(),
        attributes: message.message_attributes.unwrap_or_default(),
        handle: message.receipt_handle?,
    })
}
