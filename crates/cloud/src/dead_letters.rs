//! Lists, redrives and deletes messages of the dead-letter queues.
//! SQS cannot peek: [`DeadLetters::receive`] hides the messages that it receives, and [`DeadLetters::make_visible`]
//! shows the remaining ones again.
//! Receipt handles are valid only until then, so callers use message ids and each operation receives again.

use crate::Error;
use crate::lazy::Lazy;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName,
};
use pullyard_domain::run::dead_letter::Queue;
use pullyard_domain::text::id::MessageId;
use pullyard_domain::text::time::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Longer than any request, but short: if this process dies, other requests miss the hidden messages for this long.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

/// Long polling queries all of SQS's servers, so an empty answer means an empty queue. Units: seconds.
const LONG_POLL_SECS: i32 = 1;

const BATCH_SIZE: i32 = 10;

#[derive(Clone, Debug)]
pub struct QueuePair {
    pub queue_url: String,
    pub dead_url: String,
}

#[derive(Clone, Debug)]
pub struct DeadLetters {
    client: Lazy<aws_sdk_sqs::Client>,
    dispatch: QueuePair,
    effects: QueuePair,
    calls: QueuePair,
    submissions: Option<QueuePair>,
    undelivered_queue_url: String,
}

#[derive(Clone, Debug)]
pub struct DeadMessage {
    pub id: MessageId,
    pub body: String,
    /// In a FIFO queue, the time of the last failure.
    pub sent_at: Option<Timestamp>,
    /// Includes the receives of this module.
    pub receive_count: u32,
    group: Option<String>,
    attributes: HashMap<String, MessageAttributeValue>,
    handle: String,
}

#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    UpTo(usize),
    Ids(&'a BTreeSet<MessageId>),
}

#[derive(Clone, Debug, Default)]
pub struct ReceivedBatch {
    pub messages: Vec<DeadMessage>,
    pub more: bool,
    other_messages: Vec<DeadMessage>,
}

impl DeadLetters {
    /// The undelivered queue has task state changes that the tasks function did not receive or failed to process.
    pub fn new(
        config: &aws_config::SdkConfig,
        endpoint: Option<&str>,
        dispatch: QueuePair,
        effects: QueuePair,
        calls: QueuePair,
        undelivered_queue_url: String,
    ) -> Self {
        let (config, endpoint) = (config.clone(), endpoint.map(str::to_owned));
        let client = Lazy::new(move || {
            let mut builder = aws_sdk_sqs::config::Builder::from(&config);
            builder.set_endpoint_url(endpoint);
            aws_sdk_sqs::Client::from_conf(builder.build())
        });
        Self { client, dispatch, effects, calls, submissions: None, undelivered_queue_url }
    }

    pub fn with_submissions(self, submissions: Option<QueuePair>) -> Self {
        Self { submissions, ..self }
    }

    /// Receives up to `limit` messages until the wanted ones are found; call [`Self::make_visible`] afterwards. A
    /// FIFO group shows only its first ten.
    pub async fn receive(&self, queue: Queue, selection: Selection<'_>, limit: usize) -> Result<ReceivedBatch, Error> {
        let mut batch = ReceivedBatch::default();
        let Some(url) = self.dead_url(queue) else { return Ok(batch) };
        loop {
            let enough = match selection {
                Selection::UpTo(count) => batch.messages.len() >= count,
                Selection::Ids(ids) => batch.messages.len() >= ids.len(),
            };
            if enough || batch.messages.len() + batch.other_messages.len() >= limit {
                batch.more = true;
                return Ok(batch);
            }
            let room = limit - batch.messages.len() - batch.other_messages.len();
            let messages = match self.receive_batch(url, room).await {
                Ok(messages) => messages,
                Err(error) => {
                    // Best effort: the messages become visible by themselves. Return the first error.
                    let _ = self.make_visible(queue, batch).await;
                    return Err(error);
                }
            };
            if messages.is_empty() {
                return Ok(batch);
            }
            for message in messages {
                match selection {
                    Selection::Ids(ids) if !ids.contains(&message.id) => batch.other_messages.push(message),
                    _ => batch.messages.push(message),
                }
            }
        }
    }

    async fn receive_batch(&self, url: &str, limit: usize) -> Result<Vec<DeadMessage>, Error> {
        let answer = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(limit).unwrap_or(BATCH_SIZE).min(BATCH_SIZE))
            .wait_time_seconds(LONG_POLL_SECS)
            .visibility_timeout(i32::try_from(VISIBILITY_TIMEOUT.as_secs()).unwrap_or(i32::MAX))
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| Error::unavailable("list dead letters", error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(parse_message).collect())
    }

    /// Sends a message back to its source queue and deletes it here. `Undelivered` has no source queue: the caller has
    /// processed its message, which is only deleted.
    /// Idempotent: a crash in between leaves the message in both queues, which is harmless.
    pub async fn redrive(&self, queue: Queue, message: &DeadMessage) -> Result<(), Error> {
        let Some(pair) = self.queue_pair(queue) else { return self.delete(queue, message).await };
        let is_fifo = queue == Queue::Effects;
        // New, because the queue may remember the old one.
        let deduplication_id = is_fifo.then(|| format!("{:032x}", rand::random::<u128>()));
        self.client
            .send_message()
            .queue_url(&pair.queue_url)
            .message_body(&message.body)
            .set_message_attributes(Some(message.attributes.clone()).filter(|all| !all.is_empty()))
            // The same group, to keep the order within it. In a standard queue it only makes senders fair, and the
            // embedded SQS refuses it there.
            .set_message_group_id(message.group.clone().filter(|_| is_fifo))
            .set_message_deduplication_id(deduplication_id)
            .send()
            .await
            .map_err(|error| Error::unavailable("requeue a dead letter", error))?;
        self.delete(queue, message).await
    }

    pub async fn delete(&self, queue: Queue, message: &DeadMessage) -> Result<(), Error> {
        let Some(url) = self.dead_url(queue) else { return Ok(()) };
        let call = self.client.delete_message().queue_url(url).receipt_handle(&message.handle);
        call.send().await.map_err(|error| Error::unavailable("delete a dead letter", error))?;
        Ok(())
    }

    /// Makes received messages visible at once. Best effort: they become visible after `VISIBILITY_TIMEOUT`.
    pub async fn make_visible(&self, queue: Queue, batch: ReceivedBatch) -> Result<(), Error> {
        let Some(url) = self.dead_url(queue) else { return Ok(()) };
        // Newest first keeps the order in a queue that puts each returned message in front.
        let messages = batch.messages.into_iter().chain(batch.other_messages).rev().collect::<Vec<_>>();
        for chunk in messages.chunks(usize::try_from(BATCH_SIZE).unwrap_or(1)) {
            let entries = chunk.iter().enumerate().filter_map(|(n, message)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string());
                entry.receipt_handle(&message.handle).visibility_timeout(0).build().ok()
            });
            let call = self.client.change_message_visibility_batch().queue_url(url);
            let call = call.set_entries(Some(entries.collect())).send().await;
            call.map_err(|error| Error::unavailable("make dead letters visible again", error))?;
        }
        Ok(())
    }

    fn queue_pair(&self, queue: Queue) -> Option<&QueuePair> {
        match queue {
            Queue::Dispatch => Some(&self.dispatch),
            Queue::Effects => Some(&self.effects),
            Queue::Calls => Some(&self.calls),
            Queue::Submissions => self.submissions.as_ref(),
            Queue::Undelivered => None,
        }
    }

    /// `None` for submissions in a deployment without their queue.
    fn dead_url(&self, queue: Queue) -> Option<&str> {
        match queue {
            Queue::Undelivered => Some(&self.undelivered_queue_url),
            _ => self.queue_pair(queue).map(|pair| pair.dead_url.as_str()),
        }
    }
}

/// `None` if the id or the handle is missing; SQS always returns both.
fn parse_message(message: Message) -> Option<DeadMessage> {
    let attributes = message.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).and_then(|value: &String| value.parse::<i64>().ok());
    Some(DeadMessage {
        id: MessageId::new(message.message_id?).ok()?,
        body: message.body.unwrap_or_default(),
        sent_at: number(MessageSystemAttributeName::SentTimestamp).map(Timestamp::from_millis),
        receive_count: number(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        group: attributes.get(&MessageSystemAttributeName::MessageGroupId).cloned(),
        attributes: message.message_attributes.unwrap_or_default(),
        handle: message.receipt_handle?,
    })
}
