//! Dead letters: `/v1/dlq…`.

use pullyard_domain::run::dead_letter::{Advice, Queue, Subject};
use pullyard_domain::text::id::{MessageId, ProjectId};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Maximum number of messages in a request.
pub const MAX_MESSAGES: usize = 100;

/// A message that failed too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeadLetter {
    /// Message id, stable while the message is in the dead-letter queue.
    pub id: MessageId,
    /// Queue of the message.
    pub queue: Queue,
    /// When it was sent; in `effects`, when it failed for the last time.
    #[serde(with = "OptionalWireTime")]
    pub sent_at: Option<Timestamp>,
    /// How often it was received, listings included.
    pub received: u32,
    /// Kind of subject.
    pub about: Subject,
    /// Name of the subject; null if it cannot be read.
    pub name: Option<String>,
    /// Project, if the message names one.
    pub project: Option<ProjectId>,
    /// The effect that the message would have had.
    pub sentence: String,
    /// Advice as a sentence.
    pub help: String,
    /// Advice for programs.
    pub advice: Advice,
    /// The message, truncated; for a task event only the relevant part.
    pub body: String,
}

/// Answer to `GET /v1/dlq?queue=dispatch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeadLetters {
    /// At most 50 of each queue, unordered.
    pub letters: Vec<DeadLetter>,
    /// The queue may have more. It has no pages: redrive or drop some to see them.
    pub more: bool,
}

/// Body of `POST /v1/dlq/redrive` and `POST /v1/dlq/drop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveDeadLetters {
    /// 1 to 100 messages.
    #[schemars(length(min = 1, max = 100))]
    pub messages: BTreeSet<MessageId>,
}

/// Answer to a redrive or drop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "MovedDeadLetters")]
pub struct MoveDeadLettersAnswer {
    /// Messages that were moved, in their state before.
    pub done: Vec<DeadLetter>,
    /// Messages that were not moved: gone, received by another reader at this moment, or not to be redriven because this
    /// version cannot read them.
    pub not_moved: Vec<MessageId>,
}
