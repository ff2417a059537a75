//! Decides the next step for a due job, as a function of the job and the time.

use crate::failure::{Failure, FailureClass};
use crate::job::{DispatchFault, FINISH_GRACE, Job, JobStatus, Placement};
use crate::project::{Compute, OfflinePolicy};
use crate::text::Span;
use crate::time::Timestamp;
use std::time::Duration;

/// How long a job may stay Ready before it fails.
pub const MAX_READY_TIME: Duration = Duration::from_secs(24 * 3_600);

/// Time after which the sweeper checks whether a Ready job still waits in the right place.
pub const RECHECK_PLACE_AFTER: Duration = Duration::from_secs(60);

/// Delay after the sweeper failed `tries` times on an item: 1 min, doubling up to 1 h.
pub fn back_off(tries: u32) -> Duration {
    Duration::from_secs(60u64.saturating_mul(1 << tries.min(6)).min(3_600))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStep {
    Admit,
    Start,
    Restart(DispatchFault),
    Requeue(Failure),
    Fail(Failure),
    Cancel,
    Expire,
    Skip,
}

pub fn next_step(job: &Job, now: Timestamp) -> JobStep {
    match job.status {
        JobStatus::Pending if job.waits.as_ref().is_none_or(|waits| waits.next <= now) => JobStep::Admit,
        JobStatus::Ready if job.place == Placement::Fargate => next_step_ready(job, now),
        JobStatus::Claimed | JobStatus::Preparing | JobStatus::Executing | JobStatus::Syncing => {
            next_step_active(job, now)
        }
        JobStatus::AwaitingInput | JobStatus::Paused if job.suspended_until().is_some_and(|until| until <= now) => {
            JobStep::Expire
        }
        _ => JobStep::Skip,
    }
}

fn next_step_ready(job: &Job, now: Timestamp) -> JobStep {
    if now < job.dispatch.due {
        return JobStep::Skip;
    }
    if let Some(failure) = job.start_failure() {
        return JobStep::Fail(failure);
    }
    if now.since(job.ready_since) >= MAX_READY_TIME {
        let wait =
            job.model.as_ref().map(|model| crate::breaker::wait_reason(model.cause, &model.capability, model.until));
        let reason = wait.map_or_else(|| "no container could be started for it".into(), |wait| wait.sentence());
        let reason = reason.trim_end_matches('.').into();
        return JobStep::Fail(Failure::NeverClaimed { limit: Span::from(MAX_READY_TIME), why: reason });
    }
    if job.dispatch.starting { JobStep::Restart(DispatchFault::Silent) } else { JobStep::Start }
}

fn next_step_active(job: &Job, now: Timestamp) -> JobStep {
    if job.push_until.is_some_and(|until| now < until) {
        return JobStep::Skip;
    }
    let Some(run) = &job.run else { return JobStep::Skip };
    if job.stop_deadline().is_some_and(|until| now >= until) {
        return JobStep::Cancel;
    }
    let wall = Duration::from_secs(job.policy.wall_secs);
    if now >= run.started.plus(wall).plus(crate::due::OVERDUE_GRACE) {
        return JobStep::Fail(Failure::TimeLimit { limit: wall.into() });
    }
    match &run.died {
        Some(died) if now >= died.at.plus(FINISH_GRACE) => requeue_or_fail(job, died.failure.clone()),
        _ => JobStep::Skip,
    }
}

pub fn step_after_runner_loss(job: &Job, failure: Failure, now: Timestamp) -> JobStep {
    if !job.status.is_active() || job.push_until.is_some_and(|until| now < until) {
        return JobStep::Skip;
    }
    requeue_or_fail(job, failure)
}

/// Decides about a Ready job that waits for runners. `compute`: the project's current setting.
pub fn next_waiting_step(job: &Job, compute: Compute, now: Timestamp) -> WaitingStep {
    if job.status != JobStatus::Ready || job.place != Placement::Runners {
        return WaitingStep::Skip;
    }
    if now.since(job.ready_since) >= MAX_READY_TIME {
        return WaitingStep::Fail;
    }
    match required_place(job, compute, now) {
        Some(place) => WaitingStep::Move(place),
        None => WaitingStep::Skip,
    }
}

/// The failure of a job that no runner claimed. `why`: the sentence about its wait.
pub fn unclaimed_failure(why: &str) -> Failure {
    // Drop the part after the semicolon, which is about the current moment.
    let why = why.split(';').next().unwrap_or_default().trim_end_matches('.').into();
    Failure::NeverClaimed { limit: Span::from(MAX_READY_TIME), why }
}

/// The place where a Ready job should wait, if it waits in the wrong one.
pub fn required_place(job: &Job, compute: Compute, now: Timestamp) -> Option<Placement> {
    let place = Placement::from_compute(compute);
    let is_due = now.since(job.ready_since) >= RECHECK_PLACE_AFTER;
    (job.status == JobStatus::Ready && job.place != place && is_due && !job.dispatch.starting).then_some(place)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitingStep {
    Skip,
    Move(Placement),
    /// Fails with [`unclaimed_failure`].
    Fail,
}

/// A platform fault before the agent worked requeues the job, up to the limit. Afterwards the project's policy decides,
/// because unfinished work costs money. Spot interruptions always requeue it, because Spot users accept them for the
/// price. So does a possible push, because the next attempt adopts it.
fn requeue_or_fail(job: &Job, failure: Failure) -> JobStep {
    let may_requeue = match job.status {
        JobStatus::Claimed | JobStatus::Preparing | JobStatus::Syncing => true,
        _ if matches!(failure, Failure::SpotInterrupted {}) => true,
        _ => job.policy.offline == OfflinePolicy::Requeue,
    };
    if failure.class() == FailureClass::Infra && may_requeue && job.requeues < job.policy.requeues {
        JobStep::Requeue(failure)
    } else {
        JobStep::Fail(failure)
    }
}

#[cfg(test)]
mod tests;
