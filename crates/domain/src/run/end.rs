//! A step's job as its run reads it, and the change of the step when the job has ended.

use super::rules::Rules;
use super::{Run, RunFacts, SpawnRequest, StepReason, StepState};
use crate::failure::{Failure, FailureClass};
use crate::job::{DesiredState, Job, JobStatus};
use crate::output::Answer;

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
    /// Why the project does not allow these steps.
    pub spawn_fault: Option<String>,
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

impl StepEnd {
    /// The end of a job that the table no longer has.
    pub(super) fn lost() -> Self {
        Self { end: JobEnd::Failed(FailureClass::Infra), spent_usd_micros: 0, outcome: None, spawn: Vec::new(), spawn_fault: None }
    }

    fn has_outcome(&self, rules: &Rules) -> bool {
        rules.outcomes.is_empty() || self.outcome.as_ref().is_some_and(|outcome| rules.outcomes.contains(outcome))
    }

    pub(super) fn may_retry(&self, rules: &Rules) -> bool {
        rules.retries > 0 && matches!(self.end, JobEnd::Failed(class) if is_retryable(class))
    }
}

impl Run {
    /// Notes the end of the open job of the step with this index.
    pub(super) fn note_end(&mut self, index: usize, end: &StepEnd, all: &[Rules], facts: &RunFacts) {
        let now = facts.now;
        let is_last = self.is_ending(now) || self.is_stopped(facts.plan, all);
        let (Some(step), Some(rules)) = (self.steps.get_mut(index), all.get(index)) else { return };
        self.spent_usd_micros = self.spent_usd_micros.saturating_add(end.spent_usd_micros);
        step.reserved_usd_micros = 0;
        let may_pay = self.free_usd_micros().is_none_or(|free| free >= rules.cost_usd_micros);
        let Some(step) = self.steps.get_mut(index) else { return };
        step.spent_usd_micros = step.spent_usd_micros.saturating_add(end.spent_usd_micros);
        match end.end {
            JobEnd::Completed if !end.spawn.is_empty() => self.add_steps(index, end, facts.plan, now),
            // An older runner or control plane may have sent none, or any text.
            JobEnd::Completed if !end.has_outcome(rules) => {
                step.change(StepState::Failed, Some(StepReason::NoOutcome), now);
            }
            JobEnd::Completed => {
                step.outcome = end.outcome.clone().filter(|outcome| rules.outcomes.contains(outcome));
                step.change(StepState::Done, None, now);
            }
            JobEnd::Failed(_) if may_pay && end.may_retry(rules) && step.retries < rules.retries && !is_last => {
                step.retries += 1;
                step.change(StepState::Waiting, None, now);
            }
            JobEnd::Failed(_) => step.change(StepState::Failed, Some(StepReason::JobFailed), now),
            JobEnd::Cancelled => step.change(StepState::Cancelled, Some(StepReason::JobCancelled), now),
        }
    }
}

impl StepJob {
    /// `answer`: the job's output, and why the project does not allow its steps.
    /// `may_change_nothing`: an unchanged tree is no failure of the step.
    pub fn new(job: &Job, (answer, spawn_fault): (Answer, Option<String>), may_change_nothing: bool) -> Self {
        let Answer { outcome, spawn, .. } = answer;
        let end = match (job.status, &job.failure) {
            (JobStatus::Completed, _) => JobEnd::Completed,
            (JobStatus::Cancelled, _) => JobEnd::Cancelled,
            (JobStatus::Failed, Some(Failure::NoChanges { .. })) if may_change_nothing => JobEnd::Completed,
            (JobStatus::Failed, failure) => {
                JobEnd::Failed(failure.as_ref().map_or(FailureClass::Infra, Failure::class))
            }
            _ => return Self::Open { is_cancelled: job.want == DesiredState::Cancel },
        };
        // A lost attempt reports no cost, and may have reached its limit.
        let is_unreported = job.requeues > 0 || (job.worked && job.ended_by.is_none());
        let least = job.policy.cost_usd_micros.filter(|_| is_unreported).unwrap_or_default();
        let spent_usd_micros = job.spent_usd_micros.max(least);
        Self::Ended(StepEnd { end, spent_usd_micros, outcome, spawn, spawn_fault })
    }
}
