//! Events of an agent or its runner, with the same vocabulary for every agent.
//!
//! Received in batches of `POST …/attempts/{n}/events`, returned by `GET /v1/jobs/{id}/events?after=CURSOR`.

use pullyard_domain::time::{Timestamp, rfc3339};
use pullyard_domain::usage::Usage;
use serde::{Deserialize, Serialize};

/// One event, as the runner sends it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Its number in the attempt, from 1, without gaps.
    pub seq: u64,
    /// How long before sending it happened. Units: milliseconds.
    pub age_ms: u64,
    /// What it is.
    pub kind: EventKind,
    /// Words: the agent's, a question's, a phase's, a log line's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The tool's or phase's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file, relative to the worktree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Joins a call with its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Whatever else the agent said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

impl Event {
    /// The usage in this event, if it has numbers that this version knows.
    pub fn usage(&self) -> Option<Usage> {
        let data = self.data.as_ref().filter(|_| self.kind == EventKind::Usage)?;
        Usage::deserialize(data).ok()
    }

    /// One sentence about the usage of a running attempt, if this event contains it.
    pub fn used_so_far(&self) -> Option<String> {
        self.usage().filter(|usage| usage.so_far)?.sentence()
    }
}

/// The vocabulary.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A phase of the runner began (`name`).
    Phase,
    /// The agent's words.
    Text,
    /// The agent calls a tool.
    ToolCall,
    /// What the tool answered.
    ToolResult,
    /// A file was written.
    FileEdit,
    /// A command was run.
    Command,
    /// The agent asks something.
    Question,
    /// What a person says to the agent while it works (`text`, and who in `name`).
    Steer,
    /// Tokens and money.
    Usage,
    /// The agent's last word.
    Result,
    /// A line of the agent's standard error.
    Log,
    /// A line in a shape nobody knows, passed on as it came.
    Raw,
}

/// A page of a job's events, oldest first.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventPage {
    /// The events after the cursor.
    pub events: Vec<SeenEvent>,
    /// Where to go on from; the same as asked when there was nothing new.
    pub cursor: String,
    /// The job has ended and this page reaches its last event.
    pub end: bool,
}

/// An event as a reader sees it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenEvent {
    /// The attempt it belongs to.
    pub attempt: u32,
    /// When it happened, by the server's clock.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub at: Timestamp,
    /// The event.
    pub event: Event,
}
