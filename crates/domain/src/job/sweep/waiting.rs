//! Decides about Ready jobs that wait for runners: a new hint, a move to another place, or the end of the wait.

use crate::agent::COMMAND;
use crate::agent::breaker::{Breaker, KeyOwner, MAX_WAIT, breaker_ids};
use crate::job::select::ClassRequirements;
use crate::job::{Job, JobStatus, PRIORITY_OFFSET, Placement};
use crate::project::{Compute, Limits, Settings};
use crate::text::Cause;
use crate::text::failure::Failure;
use crate::text::id::ProjectId;
use crate::text::time::Timestamp;
use crate::text::wait::Wait;
use std::time::Duration;

/// Time after which the sweeper checks whether a Ready job still waits in the right place.
pub const RECHECK_PLACE_AFTER: Duration = Duration::from_secs(60);

/// Runners that got the hint about a job have claimed it earlier. Otherwise the hint was lost.
const WAKE_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The facts that decide about the waiting jobs of a class.
#[derive(Clone, Copy, Debug)]
pub struct ClassFacts<'a> {
    pub requirements: &'a ClassRequirements,
    /// The current ones of the project.
    pub settings: &'a Settings,
    pub breakers: &'a [Breaker],
    /// Tasks are processes of this machine, with its keys.
    pub on_one_machine: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskObstacle {
    Labels,
    /// The project has no key of the class's agent, so that a task would fail.
    Key,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitingStep {
    Skip,
    /// Runners get the hint again.
    Wake,
    Move(Placement),
    /// Fails with [`unclaimed_failure`].
    Fail,
}

impl ClassFacts<'_> {
    /// Why no task can run the jobs of the class.
    pub fn task_obstacle(&self) -> Option<TaskObstacle> {
        let ClassRequirements { capability, labels, key } = self.requirements;
        if !labels.is_empty() {
            return Some(TaskObstacle::Labels);
        }
        let has_key = *key == KeyOwner::Project || capability == COMMAND || self.on_one_machine;
        (!has_key).then_some(TaskObstacle::Key)
    }

    fn may_overflow(&self) -> bool {
        self.settings.compute == Compute::RunnersThenFargate && self.task_obstacle().is_none()
    }

    fn blocked_until(&self, project: &ProjectId) -> Option<Timestamp> {
        let ClassRequirements { capability, key, .. } = self.requirements;
        let ids = breaker_ids(*key, capability, project, None);
        self.breakers.iter().filter(|breaker| ids.contains(&breaker.id)).map(Breaker::last_start).max()
    }

    /// Since when a runner could have started the job.
    fn startable_since(&self, job: &Job) -> Timestamp {
        job.startable_since(self.blocked_until(&job.project))
    }

    /// When the job moves to a task. `None`: it waits for a runner. Once its agent worked, only the machine that has its
    /// session or key may continue it. On a task, it would wait for its model's account as well.
    pub fn overflow_at(&self, job: &Job, now: Timestamp) -> Option<Timestamp> {
        let since = self.startable_since(job);
        let is_new =
            job.status == JobStatus::Ready && job.place == Placement::Runners && job.session.is_none() && !job.worked;
        (self.may_overflow() && is_new && since <= now).then(|| since.plus(self.settings.overflow_after()))
    }

    /// Decides about a Ready job that waits for runners. Breakers only delay a step.
    pub fn next_step(&self, job: &Job, now: Timestamp) -> WaitingStep {
        if job.status != JobStatus::Ready || job.place != Placement::Runners {
            return WaitingStep::Skip;
        }
        if now.since(self.startable_since(job)) >= self.settings.limits.max_unclaimed() {
            return WaitingStep::Fail;
        }
        if self.overflow_at(job, now).is_some_and(|at| at <= now) {
            return WaitingStep::Move(Placement::Fargate);
        }
        match required_place(job, self.settings, now) {
            Some(place) => WaitingStep::Move(place),
            None if now.since(job.ready_since) >= WAKE_AGAIN_AFTER => WaitingStep::Wake,
            None => WaitingStep::Skip,
        }
    }

    /// Whether [`Self::next_step`] may move or end a job of this order. All jobs are read while the place may change:
    /// its times are below the offset of a priority. Otherwise only those that may have waited too long. A job of low
    /// priority is an hour older than its order; a requeued one has waited for less. A breaker delays a job by a day at
    /// most.
    pub fn may_need_step(&self, project: &ProjectId, order: Timestamp, now: Timestamp) -> bool {
        let waits_at_most = now.since(order.minus(PRIORITY_OFFSET));
        let is_blocked = waits_at_most < MAX_WAIT && self.blocked_until(project).is_some_and(|until| now < until);
        let may_fail = waits_at_most >= self.settings.limits.max_unclaimed();
        !is_blocked && (self.may_overflow() || may_fail) || self.settings.compute == Compute::Fargate
    }
}

/// The failure of a job that waited for too long.
pub fn unclaimed_failure(wait: Option<&Wait>, limits: &Limits) -> Failure {
    let why = match wait {
        None | Some(Wait::StartingNow { .. }) => "it could not be started".to_owned(),
        Some(Wait::OverflowSoon { reason, .. } | Wait::OverflowImpossible { reason, .. }) => reason.0.clone(),
        Some(wait) => wait.sentence(),
    };
    // Drop the part after the semicolon, which is about the current moment.
    let why = why.split(';').next().unwrap_or_default().trim_end_matches('.').to_owned();
    Failure::NeverClaimed { limit: limits.max_unclaimed().into(), why: Cause(why) }
}

/// The place where a Ready job should wait, if it waits in the wrong one. With overflow, a job stays where it is: a job
/// without labels moves later, see [`ClassFacts::overflow_at`], and does not return.
pub fn required_place(job: &Job, settings: &Settings, now: Timestamp) -> Option<Placement> {
    if settings.compute == Compute::RunnersThenFargate || job.policy.uses_runner_token {
        return None;
    }
    let place = Placement::from_compute(settings.compute);
    let is_due = now.since(job.ready_since) >= RECHECK_PLACE_AFTER;
    (job.status == JobStatus::Ready && job.place != place && is_due && !job.dispatch.starting).then_some(place)
}

#[cfg(test)]
mod tests;
