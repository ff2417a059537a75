//! Dead letters: `/v1/dlq…`.

use pullyard_domain::dead_letter::{About, Advice, Queue};
use pullyard_domain::id::{MessageId, ProjectId};
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Maximum number of messages in a request.
pub const MOST_NAMED: usize = 100;

/// A message that failed too often.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its id, the same for as long as it stands there.
    pub id: MessageId,
    /// Where it failed.
    pub queue: Queue,
    /// When it was sent; of `effects`, when it failed for the last time.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub sent_at: Option<Timestamp>,
    /// How often it was given out; every look at it counts.
    pub received: u32,
    /// What it was about.
    pub about: About,
    /// That thing's name; none where that can't be read.
    pub name: Option<String>,
    /// Its project, where the message names one.
    pub project: Option<ProjectId>,
    /// What it would have done.
    pub sentence: String,
    /// What to do about it.
    pub help: String,
    /// The same for programs.
    pub advice: Advice,
    /// The message, cut; of an event about a task, what matters of it.
    pub body: String,
}

/// `GET /v1/dlq?queue=dispatch`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetters {
    /// At most 50 of each queue, in no order.
    pub letters: Vec<DeadLetter>,
    /// There may be more than are shown; a queue has no pages: move some of these.
    pub more: bool,
}

/// `POST /v1/dlq/redrive`, `POST /v1/dlq/drop`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveDeadLetters {
    /// Which, 1 to 100.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub messages: BTreeSet<MessageId>,
}

/// What became of the order.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedDeadLetters {
    /// Those that it was done to, as they were just before.
    pub done: Vec<DeadLetter>,
    /// Those that can't be sent back, because this version can't read them or what they are about; they stay.
    pub unreadable: Vec<DeadLetter>,
    /// Those that were not found: gone, or looked at by somebody else at this moment.
    pub missing: Vec<MessageId>,
}
