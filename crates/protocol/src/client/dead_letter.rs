//! Calls about dead letters.

use super::{Error, Operator, Repeat};
use crate::dead_letter::{DeadLetter, DeadLetters, MoveDeadLetters, MovedDeadLetters};
use pullyard_domain::dead_letter::{Advice, Queue};
use pullyard_domain::id::MessageId;

impl Operator {
    /// Dead letters of one or all queues.
    pub async fn dead_letters(&self, queue: Option<Queue>) -> Result<DeadLetters, Error> {
        let queue = queue.map(|queue| format!("?queue={}", queue.as_str())).unwrap_or_default();
        self.http.get(&format!("/v1/dlq{queue}")).await
    }

    /// Dead letters with this advice, including those behind others.
    pub async fn dead_letters_advised(&self, queue: Option<Queue>, advice: Advice) -> Result<DeadLetters, Error> {
        let queue = queue.map(|queue| format!("&queue={}", queue.as_str())).unwrap_or_default();
        self.http.get(&format!("/v1/dlq?advice={}{queue}", advice.words())).await
    }

    /// One dead letter.
    pub async fn dead_letter(&self, id: &MessageId) -> Result<DeadLetter, Error> {
        self.http.get(&format!("/v1/dlq/{id}")).await
    }

    /// Sends dead letters back. Never retried: the answer of a second try would report moved messages as missing.
    pub async fn redrive(&self, request: &MoveDeadLetters) -> Result<MovedDeadLetters, Error> {
        self.http.post("/v1/dlq/redrive", request, Repeat::Never).await
    }

    /// Deletes dead letters. Never retried, for the same reason.
    pub async fn drop_dead_letters(&self, request: &MoveDeadLetters) -> Result<MovedDeadLetters, Error> {
        self.http.post("/v1/dlq/drop", request, Repeat::Never).await
    }
}
