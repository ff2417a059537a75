//! Calls for dead letters.

use super::{ApiClient, Error};
use crate::dead_letter::{DeadLetter, DeadLetters, MoveDeadLetters, MoveDeadLettersAnswer};
use pullyard_domain::run::dead_letter::Queue;
use pullyard_domain::text::id::MessageId;

impl ApiClient {
    pub async fn dead_letters(&self, queue: Option<Queue>) -> Result<DeadLetters, Error> {
        let queue = queue.map(|queue| format!("?queue={}", queue.as_str())).unwrap_or_default();
        self.http.get(&format!("/v1/dlq{queue}")).await
    }

    pub async fn dead_letter(&self, id: &MessageId) -> Result<DeadLetter, Error> {
        self.http.get(&format!("/v1/dlq/{id}")).await
    }

    /// Redrives dead letters. Never retried: a second try would report messages as missing that the first one moved.
    pub async fn redrive(&self, request: &MoveDeadLetters) -> Result<MoveDeadLettersAnswer, Error> {
        self.http.post_once("/v1/dlq/redrive", request).await
    }

    /// Deletes dead letters. Never retried, as for `redrive`.
    pub async fn drop_dead_letters(&self, request: &MoveDeadLetters) -> Result<MoveDeadLettersAnswer, Error> {
        self.http.post_once("/v1/dlq/drop", request).await
    }
}
