//! Events of an agent or its runner, with the same vocabulary for every agent.
//! Received in batches of `POST …/attempts/{n}/events`, returned by `GET /v1/jobs/{id}/events?after=CURSOR`.

use pullyard_domain::project::usage::Usage;
use pullyard_domain::text::time::{Timestamp, WireTime};
use serde::{Deserialize, Serialize};

/// The `name` of a `text` event that is a plain line of a command's standard output.
pub const PLAIN_LINE: &str = "stdout";

/// One event, as the runner sends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Number in the attempt, from 1, without gaps.
    pub seq: u64,
    /// Age of the event when its batch was sent. Units: milliseconds.
    pub age_ms: u64,
    /// Kind of event.
    pub kind: EventKind,
    /// Text of the agent, a question, a phase or a log line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Name of the tool or phase; of a text, `stdout` if it is a plain line of a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// File, relative to the worktree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Id that joins a tool call with its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Further data from the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

impl Event {
    /// The usage in this event, if it has numbers that this version knows.
    pub fn usage(&self) -> Option<Usage> {
        let data = self.data.as_ref().filter(|_| self.kind == EventKind::Usage)?;
        Usage::deserialize(data).ok()
    }

    /// Whether it is one line of a program's output, which is not Markdown.
    pub fn is_output_line(&self) -> bool {
        match self.kind {
            EventKind::Log => true,
            EventKind::Text => self.name.as_deref() == Some(PLAIN_LINE),
            _ => false,
        }
    }

    /// One sentence about the usage of a running attempt, if this event contains it.
    pub fn running_usage_sentence(&self) -> Option<String> {
        self.usage().filter(|usage| usage.so_far)?.to_sentence()
    }
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The runner begins a phase (`name`).
    Phase,
    /// Text of the agent.
    Text,
    /// The agent calls a tool.
    ToolCall,
    /// Result of a tool call.
    ToolResult,
    /// The agent wrote a file.
    FileEdit,
    /// The agent ran a command.
    Command,
    /// The agent asks a question.
    Question,
    /// A user's message to the working agent: `text`, with the sender in `name`.
    Steer,
    /// Tokens and cost.
    Usage,
    /// Final message of the agent.
    Result,
    /// A line of the agent's standard error.
    Log,
    /// An output line of unknown format, unchanged.
    Raw,
}

/// A page of a job's events, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EventPage {
    /// The events after the cursor.
    pub events: Vec<EventRecord>,
    /// Cursor of the next page; the requested one if there are no new events.
    pub cursor: String,
    /// The job has ended and this page contains its last event.
    pub end: bool,
}

/// An event as the API returns it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "SeenEvent")]
pub struct EventRecord {
    /// Attempt that sent it.
    pub attempt: u32,
    /// Time of the event by the server's clock.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// The event.
    pub event: Event,
}
