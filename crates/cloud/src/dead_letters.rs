//! Lists, redrives and deletes messages of the dead-letter queues.
//! SQS has no peek call. A look receives messages, which hides them, and then makes the remaining ones visible again.
//! Receipt handles are valid only until then, so callers use message ids and each operation receives again.

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

/// How long messages stay hidden if this process dies. Longer than any request, but short, because a concurrent look
/// misses hidden messages.
const HIDDEN: Duration = Duration::from_secs(30);

/// Long polling queries all of SQS's servers, so an empty answer means an empty queue. Units: seconds.
const WAIT: i32 = 1;

const BATCH: i32 = 10;

#[derive(Clone, Debug)]
pub struct Lane {
    pub queue_url: String,
    pub dead_url: Option<String>,
}

#[derive(Clone, Debug)]
pub struct DeadLetters {
    client: Lazy<aws_sdk_sqs::Client>,
    dispatch: Lane,
    effects: Lane,
    undelivered: Option<String>,
}

#[derive(Clone, Debug)]
pub struct DeadMessage {
    pub id: MessageId,
    pub body: String,
    /// In a FIFO queue, the time of the last failure.
    pub sent_at: Option<Timestamp>,
    /// Includes receives by looks.
    pub received: u32,
    group: Option<String>,
    attributes: HashMap<String, MessageAttributeValue>,
    handle: String,
}

#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    Any(usize),
    These(&'a BTreeSet<MessageId>),
}

#[derive(Clone, Debug, Default)]
pub struct Look {
    pub found: Vec<DeadMessage>,
    pub more: bool,
    others: Vec<DeadMessage>,
}

impl DeadLetters {
    pub fn new(config: &aws_config::SdkConfig, endpoint: Option<&str>, dispatch: Lane, effects: Lane) -> Self {
        let (config, endpoint) = (config.clone(), endpoint.map(str::to_owned));
        let client = Lazy::new(move || {
            let mut builder = aws_sdk_sqs::config::Builder::from(&config);
            builder.set_endpoint_url(endpoint);
            aws_sdk_sqs::Client::from_conf(builder.build())
        });
        Self { client, dispatch, effects, undelivered: None }
    }

    /// Adds the queue of task state changes that the tasks function did not receive or failed to process.
    pub fn and_undelivered(self, url: Option<String>) -> Self {
        Self { undelivered: url, ..self }
    }

    pub fn knows(&self, queue: Queue) -> bool {
        self.dead_url(queue).is_ok()
    }

    /// Receives up to `most` messages until the wanted ones are found; call [`put_back`](Self::put_back) afterwards. A
    /// FIFO group shows only its first ten. Errors: `NoDeadLetters` when this process does not know the queue.
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
                    // Best effort: the messages become visible by themselves. Return the first error.
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
            .map_err(|error| Error::unavailable("list dead letters", error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(read).collect())
    }

    /// Sends a message back to its source queue, then deletes it here. Without a source queue, the caller has processed
    /// the message, so it is only deleted.
    /// Idempotent: a crash in between leaves the message in both queues, which is harmless. The group keeps the order.
    /// The deduplication id is new, because the queue may remember the old one.
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
            .map_err(|error| Error::unavailable("requeue a dead letter", error))?;
        self.delete(queue, message).await
    }

    pub async fn delete(&self, queue: Queue, message: &DeadMessage) -> Result<(), Error> {
        let call = self.client.delete_message().queue_url(self.dead_url(queue)?).receipt_handle(&message.handle);
        call.send().await.map_err(|error| Error::unavailable("delete a dead letter", error))?;
        Ok(())
    }

    /// Makes the messages of a look visible at once. Best effort: they become visible after `HIDDEN` anyway.
    pub async fn put_back(&self, queue: Queue, look: Look) -> Result<(), Error> {
        let url = self.dead_url(queue)?;
        // Newest first keeps the order in a queue that puts each returned message in front.
        let taken = look.found.into_iter().chain(look.others).rev().collect::<Vec<_>>();
        for some in taken.chunks(usize::try_from(BATCH).unwrap_or(1)) {
            let shown = some.iter().enumerate().filter_map(|(n, message)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string());
                entry.receipt_handle(&message.handle).visibility_timeout(0).build().ok()
            });
            let call = self.client.change_message_visibility_batch().queue_url(url);
            let call = call.set_entries(Some(shown.collect())).send().await;
            call.map_err(|error| Error::unavailable("make dead letters visible again", error))?;
        }
        Ok(())
    }

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

/// `None` if the id or the handle is missing; SQS always returns both.
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
