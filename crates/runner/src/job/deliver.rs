//! Delivers the result of an attempt, by the kind of its job.

pub(super) mod agent_output;
pub(super) mod analysis;
mod answer;
pub(super) mod change;
pub(super) mod read;
pub(super) mod review;
pub(super) mod step;

use crate::inputs::orders::Order;
use crate::stop::Stop;
use pullyard_domain::job::DesiredState;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::attempt::{FinishResult, StatusAnswer};

/// The delivered result of an attempt, by the kind of its job.
#[derive(Default)]
pub(super) struct Delivered {
    pub(super) result: Option<FinishResult>,
    pub(super) output: Option<JobOutput>,
    /// The failure of a later step.
    pub(super) failure: Option<Failure>,
}

/// Whether the control plane lets the attempt deliver its work. `false`: there is an input that the agent has not read.
/// Errors: a cancel or a pause that came first.
fn check_grant(answer: &StatusAnswer) -> Result<bool, Stop> {
    match answer.want {
        DesiredState::Cancel => Err(Stop::Order(Order::Cancel)),
        DesiredState::Pause if answer.push_for_secs.is_none() => Err(Stop::Order(Order::Pause)),
        // A granted delivery takes precedence over a pause.
        DesiredState::Run | DesiredState::Pause => Ok(!answer.has_unread_inputs),
    }
}
