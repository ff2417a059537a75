//! The interface between the model proxy and the limits of an attempt.

use super::Usage;

/// The greatest use of a request, known before it starts. Units: tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    pub model: String,
    /// Input of code or prose of this length.
    pub likely_input: u64,
    /// Input of the densest text of this length.
    pub most_input: u64,
    /// The request writes into a cache that costs more.
    pub has_long_cache: bool,
    /// Greatest output, as requested.
    pub max_output: u64,
    /// Output below which an answer is useless.
    pub least_output: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The request starts with this greatest output, at most the requested one.
    Start { max_output: u64 },
    /// Ask again when another request has ended.
    Wait,
    /// A sentence for the agent.
    Refuse(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEnd {
    /// The provider reported the usage.
    Complete,
    /// The answer ended without a report, whoever ended it. The provider may bill more than the usage that is known,
    /// such as reasoning without a text.
    Cut,
    /// The provider answered with an error, or was not reached.
    NotBilled,
}

/// Applies the limits of the attempt. The runner implements it.
pub trait Meter: Send + Sync {
    /// Reserves the greatest use of a request, in one step with the check of the limits. `finish` follows each
    /// `Start`.
    fn reserve(&self, request: u64, demand: &Demand) -> Grant;
    /// Called when the usage of a running request changes. Returns whether its answer may continue.
    fn record(&self, request: u64, usage: &Usage) -> bool;
    /// Ends the reservation. Called again if the provider reports more usage.
    fn finish(&self, request: u64, usage: &Usage, end: RequestEnd);
}
