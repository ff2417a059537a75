//! A step's job as its run reads it, and the change of the step when the job has ended.

use super::rules::Rules;
use super::{Run, SpawnRequest, StepReason, StepState};
use crate::failure::FailureClass;
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepJob {
    /// Whether its cancellation is requested.
    Open {
        is_cancelled: bool,
    },
    Ended(StepEnd),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepEnd {
    pub end: JobEnd,
    pub spent_usd_micros: u64,
    /// From the agent's output.
    pub outcome: Option<String>,
    pub spawn: Vec<SpawnRequest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    Completed,
    Failed(FailureClass),
    Cancelled,
}

/// Whether another job may succeed without a change by a user.
fn is_retryable(class: FailureClass) -> bool {
    use FailureClass::{Agent, Checks, Infra, Provider};
    matches!(class, Infra | Provider | Agent | Checks)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retries {
    Allowed,
    /// The run starts no further job.
    Refused,
}

impl Run {
    /// Notes the end of the open job of the step with this index.
    pub(super) fn note_end(&mut self, index: usize, end: &StepEnd, rules: &Rules, retries: Retries, now: Timestamp) {
        let Some(step) = self.steps.get_mut(index) else { return };
        self.spent_usd_micros = self.spent_usd_micros.saturating_add(end.spent_usd_micros);
        step.reserved_usd_micros = 0;
        match end.end {
            JobEnd::Completed => {
                step.outcome.clone_from(&end.outcome);
                step.change(StepState::Done, None, now);
            }
            JobEnd::Failed(class)
                if is_retryable(class) && step.retries < rules.retries && retries == Retries::Allowed =>
            {
                step.retries += 1;
                step.change(StepState::Waiting, None, now);
            }
            JobEnd::Failed(_) => step.change(StepState::Failed, Some(StepReason::JobFailed), now),
            JobEnd::Cancelled => step.change(StepState::Cancelled, Some(StepReason::JobCancelled), now),
        }
    }
}
