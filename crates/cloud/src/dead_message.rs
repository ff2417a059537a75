//! Parses the body of a dead letter into the message that failed.

use crate::Undelivered;
use pullyard_domain::dead_letter::{Message, Queue};
use pullyard_domain::wakeup::JobWakeup;

/// A body that this version cannot parse is [`Message::Unreadable`].
pub fn parse_dead_letter(queue: Queue, body: &str) -> Message {
    let parsed = match queue {
        Queue::Dispatch => serde_json::from_str(body).map(|JobWakeup { job }| Message::Start(job)),
        Queue::Effects => serde_json::from_str(body).map(Message::Effect),
        Queue::Undelivered => serde_json::from_str(body).map(|Undelivered { why, event }| match event.stopped() {
            Some(stopped) => Message::Death(why, Box::new(stopped)),
            None => Message::DeathOfOther(why),
        }),
    };
    parsed.unwrap_or(Message::Unreadable)
}

#[cfg(test)]
mod tests;
