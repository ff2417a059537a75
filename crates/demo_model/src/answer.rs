//! One scripted answer: its parts, its token usage, and how its transmission ends.
//! `messages` and `responses` convert it to the wire formats.

use std::time::Duration;

use serde_json::Value;

use crate::faults::{AnswerEnd, StreamFault};

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(String),
    Tool { name: String, arguments: Value },
}

/// Units: tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    /// Read from the provider's cache.
    pub cached: u64,
    pub output: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub(crate) parts: Vec<Part>,
    pub(crate) usage: Usage,
    pub(crate) is_declined: bool,
    pub(crate) pause: Duration,
    pub(crate) ending: AnswerEnd,
}

impl Answer {
    pub fn text(text: impl Into<String>) -> Self {
        Self::from_parts(vec![Part::Text(text.into())])
    }

    pub fn tool(name: impl Into<String>, arguments: Value) -> Self {
        Self::from_parts(vec![Part::Tool { name: name.into(), arguments }])
    }

    /// An answer with these parts in this order, and a usage of 100 input and 20 output tokens.
    pub fn from_parts(parts: Vec<Part>) -> Self {
        let usage = Usage { input: 100, cached: 0, output: 20 };
        Self { parts, usage, is_declined: false, pause: Duration::ZERO, ending: AnswerEnd::Complete }
    }

    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// The provider's filter stops the answer after these parts.
    pub fn with_refusal_stop(mut self) -> Self {
        self.is_declined = true;
        self
    }

    /// Waits for `pause` before each event of a stream.
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    pub fn disconnect_after(mut self, events: usize) -> Self {
        self.ending = AnswerEnd::CutAfter(events);
        self
    }

    /// Sends nothing after this number of events, and leaves the connection open.
    pub fn hang_after(mut self, events: usize) -> Self {
        self.ending = AnswerEnd::HangsAfter(events);
        self
    }

    pub fn fail_after(mut self, events: usize, fault: StreamFault) -> Self {
        self.ending = AnswerEnd::FaultAfter(events, fault);
        self
    }

    pub(crate) fn has_tool_call(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, Part::Text(_)))
    }
}
