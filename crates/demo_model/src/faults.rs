//! How the sending of an answer ends: whole, or in the middle.

#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    Whole,
    /// The connection ends after so many events; of an answer that is no stream, after half of it.
    CutAfter(usize),
    /// Nothing more comes after so many events; of an answer that is no stream, after half of it.
    HangsAfter(usize),
    /// After so many events the provider says that it can't go on; an answer that is no stream becomes a 500.
    StumblesAfter(usize, Stumble),
}

/// What a provider says in the middle of a stream before it stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stumble {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Stumble {
    /// With this code, which is Anthropic's `type` of an error and OpenAI's `code`.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    pub fn overloaded() -> Self {
        Self::new("overloaded_error", "Overloaded")
    }

    pub fn at_capacity() -> Self {
        Self::new("server_is_overloaded", "The server is overloaded. Please try again later.")
    }

    /// OpenAI's limit of requests for a while.
    pub fn too_fast() -> Self {
        Self::new("rate_limit_exceeded", "Rate limit reached for requests. Please try again in 0.5s.")
    }

    /// The account at OpenAI is used up.
    pub fn quota() -> Self {
        Self::new("insufficient_quota", "You exceeded your current quota, please check your plan and billing details.")
    }

    /// The work does not fit OpenAI's model.
    pub fn too_long() -> Self {
        Self::new(
            "context_length_exceeded",
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
        )
    }
}
