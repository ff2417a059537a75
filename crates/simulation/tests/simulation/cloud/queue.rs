//! Simulates SQS: a standard queue, which doubles and reorders, and a FIFO queue, ordered within a group.

use super::Answer;
use crate::prelude::*;

const VISIBILITY: Duration = Duration::from_secs(60);

const MAX_RECEIVES: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Queue {
    Dispatch,
    Effects,
    Calls,
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) queue: Queue,
    pub(crate) body: String,
    pub(crate) group: Option<String>,
    pub(crate) received: u32,
    visible_at: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Queues {
    next_id: u64,
    messages: Vec<Message>,
    pub(crate) dead_letters: u64,
}

impl Queues {
    pub(crate) fn url(queue: Queue) -> &'static str {
        match queue {
            Queue::Dispatch => "http://sqs.simulated/1/dispatch",
            Queue::Effects => "http://sqs.simulated/1/effects.fifo",
            Queue::Calls => "http://sqs.simulated/1/calls.fifo",
        }
    }

    pub(super) fn answer(&mut self, operation: &str, request: &Value, now: Timestamp) -> Answer {
        // The mailboxes of runners lose every hint: the claims without one must suffice.
        let url = request["QueueUrl"].as_str().unwrap_or_default();
        match operation {
            "CreateQueue" => return (200, json!({ "QueueUrl": "http://sqs.simulated/1/wake" }).to_string()),
            "DeleteQueue" => return (200, "{}".to_owned()),
            "SendMessage" if url.contains("/wake-") => {
                return (200, json!({ "MessageId": "m", "MD5OfMessageBody": "" }).to_string());
            }
            _ => assert_eq!(operation, "SendMessage"),
        }
        let mut queue = [Queue::Dispatch, Queue::Effects, Queue::Calls].into_iter();
        let queue = queue.rfind(|queue| request["QueueUrl"] == Self::url(*queue)).unwrap();
        self.next_id += 1;
        self.messages.push(Message {
            id: self.next_id,
            queue,
            body: request["MessageBody"].as_str().unwrap().to_owned(),
            group: request["MessageGroupId"].as_str().map(str::to_owned),
            received: 0,
            visible_at: now,
        });
        (200, json!({ "MessageId": format!("m-{}", self.next_id), "MD5OfMessageBody": "" }).to_string())
    }

    pub(crate) fn receivable(&self, queue: Queue, now: Timestamp) -> Vec<usize> {
        let mut groups: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        for (at, message) in self.messages.iter().enumerate().filter(|(_, message)| message.queue == queue) {
            if let Some(group) = &message.group {
                // Only the oldest of a group, and none while one is in flight.
                if groups.contains(&group.as_str()) {
                    continue;
                }
                groups.push(group);
            }
            if message.visible_at <= now {
                found.push(at);
            }
        }
        found
    }

    pub(crate) fn receive(&mut self, at: usize, now: Timestamp) -> Option<Message> {
        if self.messages[at].received >= MAX_RECEIVES {
            self.messages.remove(at);
            self.dead_letters += 1;
            return None;
        }
        let message = &mut self.messages[at];
        message.received += 1;
        message.visible_at = now.plus(VISIBILITY);
        Some(message.clone())
    }

    pub(crate) fn delete(&mut self, id: u64, again: bool) {
        if !again {
            self.messages.retain(|message| message.id != id);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}
