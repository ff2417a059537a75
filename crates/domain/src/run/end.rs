//! A step's job as its run reads it, and the change of the step when the job has ended.

use super::facts::{JobEnd, RunFacts, StepEnd, StepJob};
use super::rules::Rules;
use super::run_move::StepJobPlan;
use super::{Run, StepReason, StepState, WorkLeft};
use crate::job::explanation::is_allowed_without_change;
use crate::job::{DesiredState, Job, JobStatus, Placement};
use crate::project::OfflinePolicy;
use crate::review::output::Answer;
use crate::text::failure::{Failure, FailureClass};
use crate::text::time::Timestamp;

impl StepEnd {
    /// Without cost and output.
    pub fn new(end: JobEnd) -> Self {
        Self { end, spent_usd_micros: 0, outcome: None, spawn: Vec::new(), spawn_fault: None }
    }

    /// Whether another job may succeed without a change by a user.
    pub(super) fn may_retry(&self, rules: &Rules) -> bool {
        use FailureClass::{Agent, Checks, Infra, Provider};
        rules.retries > 0 && matches!(self.end, JobEnd::Failed(Infra | Provider | Agent | Checks))
    }
}

impl Run {
    /// Takes the job that was planned for a step back, because the project does not allow it any more.
    #[must_use]
    pub fn refuse_step(mut self, planned: &StepJobPlan, now: Timestamp) -> Self {
        if let Some(step) = self.steps.iter_mut().find(|step| step.name == planned.step) {
            (step.job, step.jobs, step.reserved_usd_micros) =
                (planned.previous.clone(), step.jobs.saturating_sub(1), 0);
            step.change(StepState::Failed, Some(StepReason::NotStarted), now);
        }
        self.left = Some(WorkLeft::Now);
        self
    }

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
        // An older runner or control plane may have sent none, or any text.
        let outcome = end.outcome.clone().filter(|outcome| rules.outcomes.contains(outcome));
        match end.end {
            JobEnd::Completed if !end.spawn.is_empty() => self.add_steps(index, end, facts.plan, now),
            JobEnd::Completed if outcome.is_none() && !rules.outcomes.is_empty() => {
                step.change(StepState::Failed, Some(StepReason::NoOutcome), now);
            }
            JobEnd::Completed => {
                step.outcome = outcome;
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
    /// `spawn_fault`: why the project does not allow the steps of the answer.
    pub fn new(job: &Job, Answer { outcome, spawn, .. }: Answer, spawn_fault: Option<String>) -> Self {
        let end = match (job.status, &job.failure) {
            (JobStatus::Completed, _) => JobEnd::Completed,
            (JobStatus::Cancelled, _) => JobEnd::Cancelled,
            (JobStatus::Failed, _) if is_allowed_without_change(job) => JobEnd::Completed,
            (JobStatus::Failed, failure) => {
                JobEnd::Failed(failure.as_ref().map_or(FailureClass::Infra, Failure::class))
            }
            _ => return Self::Open { is_cancelled: job.want == DesiredState::Cancel },
        };
        // A lost attempt reports no cost, so its limit counts. By default, an attempt that worked is not repeated.
        let was_repeated =
            job.requeues > 0 && (job.policy.offline == OfflinePolicy::Requeue || job.place == Placement::Fargate);
        let was_lost = job.run.is_some() && job.ended_by.as_ref().is_some_and(|by| by.finish.is_none());
        let is_unreported = job.worked && (was_repeated || was_lost);
        let least = job.policy.cost_usd_micros.filter(|_| is_unreported).unwrap_or_default();
        let spent_usd_micros = job.spent_usd_micros.max(least);
        Self::Ended(StepEnd { end, spent_usd_micros, outcome, spawn, spawn_fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{active, crash_failure, finish, time_at};
    use crate::job::End;

    fn spent(job: Job) -> u64 {
        let mut job = job;
        job.policy.cost_usd_micros = Some(5_000_000);
        match StepJob::new(&job, Answer::default(), None) {
            StepJob::Ended(end) => end.spent_usd_micros,
            StepJob::Open { .. } => panic!("{:?} has not ended", job.status),
        }
    }

    #[test]
    fn lost_attempt_that_worked_counts_its_cost_limit() {
        let lose = |status| active(status).fail(crash_failure(), time_at(400)).unwrap();
        assert_eq!(spent(lose(JobStatus::Executing)), 5_000_000);
        assert_eq!(spent(lose(JobStatus::Preparing)), 0, "no agent has worked");
        let requeued =
            Job { requeues: 1, spent_usd_micros: 600_000, place: Placement::Runners, ..active(JobStatus::Executing) };
        assert_eq!(spent(finish(&requeued, End::Failed(crash_failure(), None))), 600_000, "lost before its work");
        let mut repeated = requeued;
        repeated.policy.offline = OfflinePolicy::Requeue;
        assert_eq!(spent(finish(&repeated, End::Failed(crash_failure(), None))), 5_000_000);
    }
}
