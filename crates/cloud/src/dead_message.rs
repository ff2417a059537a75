//! Parses the body of a dead letter into the message that failed.

use crate::Undelivered;
use pullyard_domain::run::dead_letter::{DeadLetterMessage, Queue};
use pullyard_domain::run::wakeup::JobWakeup;

/// A body that this version cannot parse is [`DeadLetterMessage::Unreadable`].
pub fn parse_dead_letter(queue: Queue, body: &str) -> DeadLetterMessage {
    let parsed = match queue {
        Queue::Dispatch => serde_json::from_str(body).map(|JobWakeup { job }| DeadLetterMessage::Start(job)),
        Queue::Effects | Queue::Calls => serde_json::from_str(body).map(DeadLetterMessage::Effect),
        Queue::Submissions => serde_json::from_str(body).map(DeadLetterMessage::Submission),
        Queue::Undelivered => {
            serde_json::from_str(body).map(|Undelivered { cause, event }| match event.into_task_stop() {
                Some(stopped) => DeadLetterMessage::TaskStop(cause, Box::new(stopped)),
                None => DeadLetterMessage::ForeignTaskStop(cause),
            })
        }
    };
    parsed.unwrap_or(DeadLetterMessage::Unreadable)
}

#[cfg(test)]
mod tests;
