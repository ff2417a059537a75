//! What the model says in one answer: words, calls of tools, what it took, and how the sending ends.
//! How that looks on the wire is in `messages` and `responses`.

use std::time::Duration;

use serde_json::Value;

use crate::faults::{Ending, Stumble};

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(String),
    /// A tool is called with arguments that are an object.
    Tool {
        name: String,
        arguments: Value,
    },
    /// A tool is called with text, as OpenAI's `custom` tools are. Anthropic's API has no such thing: there the
    /// text is the argument `input`.
    Freeform {
        name: String,
        input: String,
    },
}

/// What an answer took. Units: tokens.
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
    pub(crate) declines: bool,
    pub(crate) pause: Duration,
    pub(crate) ending: Ending,
}

impl Answer {
    /// An answer of nothing but words.
    pub fn text(words: impl Into<String>) -> Self {
        Self::of(vec![Part::Text(words.into())])
    }

    /// An answer that calls one tool.
    pub fn tool(name: impl Into<String>, arguments: Value) -> Self {
        Self::of(vec![Part::Tool { name: name.into(), arguments }])
    }

    /// An answer that calls one tool with text.
    pub fn freeform(name: impl Into<String>, input: impl Into<String>) -> Self {
        Self::of(vec![Part::Freeform { name: name.into(), input: input.into() }])
    }

    /// An answer of these parts, in this order. It takes 100 tokens and gives 20, unless something else is said.
    pub fn of(parts: Vec<Part>) -> Self {
        let usage = Usage { input: 100, cached: 0, output: 20 };
        Self { parts, usage, declines: false, pause: Duration::ZERO, ending: Ending::Whole }
    }

    pub fn and(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    pub fn taking(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// The provider's own check stops the answer after what it has said so far.
    pub fn declining(mut self) -> Self {
        self.declines = true;
        self
    }

    /// So long passes before each event of a stream.
    pub fn slowly(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// The connection ends after so many events of the stream.
    pub fn cut_after(mut self, events: usize) -> Self {
        self.ending = Ending::CutAfter(events);
        self
    }

    /// Nothing more comes after so many events of the stream, and the connection stays.
    pub fn hanging_after(mut self, events: usize) -> Self {
        self.ending = Ending::HangsAfter(events);
        self
    }

    /// After so many events of the stream the provider says in it that it can't go on.
    pub fn stumbling_after(mut self, events: usize, stumble: Stumble) -> Self {
        self.ending = Ending::StumblesAfter(events, stumble);
        self
    }

    pub(crate) fn calls_a_tool(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, Part::Text(_)))
    }
}
