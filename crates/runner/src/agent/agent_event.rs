//! The parsed meaning of an agent's lines, the same for all agents: an event for users, or a fact about the run.
//! `classify` and `limits` decide how a fact affects the job.

use crate::api::event_draft::EventDraft;
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::event::EventKind;
use serde::{Deserialize, Serialize};
use std::ops::{AddAssign, Sub};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum AgentEvent {
    Event(EventDraft),
    /// Like `Event`, but the agent only repeats a request to its model, which does not count as activity.
    Retrying(EventDraft),
    /// Only shows that the agent is alive.
    Activity,
    /// Like `Activity`, for a part of a message that arrives as a whole later.
    PartialMessage,
    Session(String),
    Model(String),
    /// A tool began. Until it ends, the limit on silence is longer.
    ToolStarted(String),
    ToolEnded(String),
    AllToolsEnded,
    /// Whether every call of the model has its answer, so that a request to the model follows. Other tools may still
    /// run.
    CallsAnswered(bool),
    InputSent(String),
    ModelAnswer,
    /// Like `ModelAnswer`, but from files.
    CountedAnswer,
    /// The answer asks for tools, so another request follows.
    ToolCallsPending,
    TokenUsage(Tokens),
    /// The cost of this start so far. Units: millionths of a US dollar.
    Cost(u64),
    CostUpperBound(u64),
    CostEstimate(Option<u64>),
    ReportedUsage(ReportedUsage),
    EndReport(EndReport),
}

impl AgentEvent {
    pub(super) fn is_usage_report(&self) -> bool {
        match self {
            Self::TokenUsage(_)
            | Self::Cost(_)
            | Self::CostUpperBound(_)
            | Self::CostEstimate(_)
            | Self::ReportedUsage(_) => true,
            Self::Event(draft) => draft.kind == EventKind::Usage,
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tokens {
    /// Including cached tokens.
    pub(crate) input: u64,
    pub(crate) cached: u64,
    /// Including reasoning tokens.
    pub(crate) output: u64,
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
    }
}

impl Sub for Tokens {
    type Output = Self;

    /// Saturates at zero: a smaller count is a new one.
    fn sub(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_sub(other.input),
            cached: self.cached.saturating_sub(other.cached),
            output: self.output.saturating_sub(other.output),
        }
    }
}

/// The usage of a request, of a start, or of all starts. Units: costs in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UsageTotal {
    pub(super) turns: u32,
    pub(super) tokens: Tokens,
    /// The known cost, including `estimated_cost`.
    pub(super) cost: Option<u64>,
    pub(super) estimated_cost: u64,
    pub(super) cost_upper_bound: u64,
}

impl AddAssign for UsageTotal {
    fn add_assign(&mut self, other: Self) {
        self.turns = self.turns.saturating_add(other.turns);
        self.tokens += other.tokens;
        self.cost = match (self.cost, other.cost) {
            (Some(cost), Some(other)) => Some(cost.saturating_add(other)),
            (cost, other) => cost.or(other),
        };
        self.estimated_cost = self.estimated_cost.saturating_add(other.estimated_cost);
        self.cost_upper_bound = self.cost_upper_bound.saturating_add(other.cost_upper_bound);
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReportedUsage {
    pub(super) turns: u32,
    pub(super) tokens: Tokens,
    /// `None` if not reported. Units: millionths of a US dollar.
    pub(super) cost: Option<u64>,
    pub(super) may_continue: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EndReport {
    pub(super) success: bool,
    /// Codes for the end, such as `error_max_turns`, `prompt_too_long` or `billing_error`.
    pub(super) codes: Vec<String>,
    pub(super) status: Option<u16>,
    pub(super) message: String,
    pub(super) denied_tools: Vec<String>,
    /// The end of the account's limit, if reported in a field of its own.
    pub(super) limit_resets_at: Option<Timestamp>,
}

impl EndReport {
    pub(super) fn has_code(&self, code: &str) -> bool {
        self.codes.iter().any(|own| own == code)
    }
}

pub(super) fn dollars_to_micros(dollars: f64) -> Option<u64> {
    let micros = dollars * 1e6;
    // Larger than any bill, and small enough for exact floats.
    (micros.is_finite() && (0.0..1e15).contains(&micros)).then(|| micros.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amount_is_whole_micros_within_range() {
        assert_eq!(dollars_to_micros(0.00175), Some(1_750));
        assert_eq!(dollars_to_micros(0.0), Some(0));
        for wrong in [-0.1, f64::NAN, f64::INFINITY, 1e12] {
            assert_eq!(dollars_to_micros(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn token_difference_is_never_negative() {
        let tokens = |input| Tokens { input, cached: 1, output: 2 };
        assert_eq!(tokens(300) - tokens(100), Tokens { input: 200, cached: 0, output: 0 });
        assert_eq!((tokens(1) - tokens(100)).input, 0);
    }
}
