//! The symbol and the time of a step.

use crate::client::prelude::*;
use pullyard_domain::run::StepState;
use pullyard_protocol::run::RunStep;

pub(super) fn step_symbol(screen: &Screen, state: StepState) -> (&'static str, Colour) {
    let (symbol, ascii, colour) = match state {
        StepState::Waiting | StepState::Spawning => ("◌", ".", Colour::Grey),
        StepState::Open => ("◐", "*", Colour::Blue),
        StepState::Asked => ("?", "?", Colour::Magenta),
        StepState::Done => ("✓", "+", Colour::Green),
        StepState::Failed => ("✕", "x", Colour::Red),
        StepState::Cancelled | StepState::Skipped => ("⊘", "-", Colour::Grey),
    };
    (screen.symbol(symbol, ascii), colour)
}

/// From the start of its newest job to its end, or until now.
pub(super) fn took(step: &RunStep) -> Option<std::time::Duration> {
    let end = if step.state.is_terminal() { step.changed } else { format::now() };
    step.started.map(|started| end.since(started))
}
