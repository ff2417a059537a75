//! How the transmission of an answer ends: completely, or with a fault.

#[derive(Clone, Debug, PartialEq)]
pub enum AnswerEnd {
    Complete,
    /// Closes the connection after this number of events, or after half of a body without a stream.
    CutAfter(usize),
    /// Sends nothing after this number of events, or after half of a body without a stream.
    HangsAfter(usize),
    /// Sends an error event after this number of events; without a stream, the response is a 500.
    FaultAfter(usize, StreamFault),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFault {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl StreamFault {
    /// `code` is Anthropic's `type` of an error and OpenAI's `code`.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    pub fn overloaded() -> Self {
        Self::new("overloaded_error", "Overloaded")
    }

    pub fn at_capacity() -> Self {
        Self::new("server_is_overloaded", "The server is overloaded. Please try again later.")
    }

    pub fn rate_limited() -> Self {
        Self::new("rate_limit_exceeded", "Rate limit reached for requests. Please try again in 0.5s.")
    }

    pub fn quota() -> Self {
        Self::new("insufficient_quota", "You exceeded your current quota, please check your plan and billing details.")
    }

    pub fn context_exceeded() -> Self {
        Self::new(
            "context_length_exceeded",
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
        )
    }
}
