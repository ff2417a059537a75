//! Decides the next step for a due job, as a function of the job and the time.

use crate::failure::{Failure, FailureClass};
use crate::job::{DispatchFault, FINISH_GRACE, Job, JobStatus, PRIORITY_OFFSET, Placement, Publishes};
use crate::project::{Compute, DEFAULT_UNCLAIMED_LIMIT, Limits, OfflinePolicy, Project, Settings};
use crate::runner::{OFFLINE_AFTER, Runner};
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// Time after which the sweeper checks whether a Ready job still waits in the right place.
pub const RECHECK_PLACE_AFTER: Duration = Duration::from_secs(60);

/// Runners that got the hint about a job have claimed it earlier. Otherwise the hint was lost.
const WAKE_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Delay after the sweeper failed `tries` times on an item: 1 min, doubling up to 1 h.
pub fn back_off(tries: u32) -> Duration {
    Duration::from_secs(60u64.saturating_mul(1 << tries.min(6)).min(3_600))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStep {
    Admit,
    Start,
    Restart(DispatchFault),
    StopTask,
    Requeue(Failure),
    Fail(Failure),
    Cancel,
    Expire,
    Skip,
}

/// What a decision about a running job needs besides the job.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    /// Since when the sweeper runs without a pause. Earlier silence proves nothing, as all machines may have slept.
    pub since: Timestamp,
    /// The self-hosted runner of the attempt, if it has one that is still registered.
    pub runner: Option<&'a Runner>,
    /// The project of a Ready job. `None`: it was deleted.
    pub project: Option<&'a Project>,
}

pub fn next_step(job: &Job, watch: Watch<'_>, now: Timestamp) -> JobStep {
    match job.status {
        JobStatus::Pending if job.waits.as_ref().is_none_or(|waits| waits.next <= now) => JobStep::Admit,
        JobStatus::Ready if job.place == Placement::Fargate => next_step_ready(job, watch, now),
        // A runner claims it. An older version may have stored an orphan with it.
        JobStatus::Ready => JobStep::Skip,
        JobStatus::Claimed | JobStatus::Preparing | JobStatus::Executing | JobStatus::Syncing => {
            next_step_active(job, watch, now)
        }
        JobStatus::AwaitingInput | JobStatus::Paused if job.suspended_until().is_some_and(|until| until <= now) => {
            JobStep::Expire
        }
        // After all steps that end the job, because ECS may refuse the stop for good.
        _ if job.orphan_stop_due().is_some_and(|due| due <= now) => JobStep::StopTask,
        _ => JobStep::Skip,
    }
}

fn next_step_ready(job: &Job, watch: Watch<'_>, now: Timestamp) -> JobStep {
    if now < job.dispatch.due {
        return JobStep::Skip;
    }
    if let Some(failure) = job.start_failure() {
        return JobStep::Fail(failure);
    }
    let limits = watch.project.map(|project| &project.settings.limits);
    let limit = limits.map_or(DEFAULT_UNCLAIMED_LIMIT, Limits::max_unclaimed);
    if now.since(job.ready_since) >= limit {
        let wait =
            job.model.as_ref().map(|model| crate::breaker::wait_reason(model.cause, &model.capability, model.until));
        let reason = wait.map_or_else(|| "it could not be started".into(), |wait| wait.sentence());
        let reason = reason.trim_end_matches('.').into();
        return JobStep::Fail(Failure::NeverClaimed { limit: limit.into(), why: reason });
    }
    if job.dispatch.starting { JobStep::Restart(DispatchFault::Silent) } else { JobStep::Start }
}

fn next_step_active(job: &Job, watch: Watch<'_>, now: Timestamp) -> JobStep {
    if job.push_until.is_some_and(|until| now < until) {
        return JobStep::Skip;
    }
    let Some(run) = &job.run else { return JobStep::Skip };
    if job.stop_deadline().is_some_and(|until| now >= until) {
        return JobStep::Cancel;
    }
    let limit = Duration::from_secs(job.policy.wall_secs);
    let is_overdue = now >= run.overdue_at(limit);
    if let Some(died) = run.died.as_ref().filter(|_| !is_overdue) {
        let is_late = now >= died.at.plus(FINISH_GRACE);
        return if is_late { requeue_or_fail(job, died.failure.clone()) } else { JobStep::Skip };
    }
    if run.died.is_none() && now >= run.silent_at() {
        let offline_after = watch.runner.map_or(OFFLINE_AFTER, Runner::offline_after);
        if now < watch.since.plus(offline_after) {
            // After a pause of the sweeper, the attempt may be as late as the sweeper.
            return JobStep::Skip;
        }
        // The runner may be silent itself. `runner::sweep` then ends its jobs, and spares them in a storm.
        let is_alone = match (&run.runner, watch.runner) {
            (None, _) => true,
            (Some(_), Some(runner)) => runner.alive_for(run.last_heartbeat()) >= offline_after,
            (Some(_), None) => false,
        };
        if is_alone {
            return requeue_or_fail(job, Failure::AttemptSilent { ago: run.silence(now).into() });
        }
    }
    if is_overdue { JobStep::Fail(Failure::TimeLimit { limit: limit.into() }) } else { JobStep::Skip }
}

pub fn step_after_runner_loss(job: &Job, failure: Failure, now: Timestamp) -> JobStep {
    if !job.status.is_active() || job.push_until.is_some_and(|until| now < until) {
        return JobStep::Skip;
    }
    requeue_or_fail(job, failure)
}

/// Decides about a Ready job that waits for runners. `labels`: of its class. `settings`: the project's current ones.
pub fn next_waiting_step(job: &Job, labels: &BTreeSet<String>, settings: &Settings, now: Timestamp) -> WaitingStep {
    if job.status != JobStatus::Ready || job.place != Placement::Runners {
        return WaitingStep::Skip;
    }
    if now.since(job.ready_since) >= settings.limits.max_unclaimed() {
        return WaitingStep::Fail;
    }
    match required_place(job, labels, settings, now) {
        Some(place) => WaitingStep::Move(place),
        None if now.since(job.ready_since) >= WAKE_AGAIN_AFTER => WaitingStep::Wake,
        None => WaitingStep::Skip,
    }
}

/// Whether [`next_waiting_step`] may move or end the job, judged by its `order`. A job of low priority is an hour older
/// than its order; a requeued one has waited for less.
pub fn may_need_waiting_step(order: i64, labels: &BTreeSet<String>, settings: &Settings, now: Timestamp) -> bool {
    let after = match settings.compute {
        Compute::RunnersThenFargate if labels.is_empty() => settings.overflow_after(),
        Compute::Runners | Compute::RunnersThenFargate => settings.limits.max_unclaimed(),
        Compute::Fargate => RECHECK_PLACE_AFTER,
    };
    now.since(Timestamp::from_millis(order).minus(PRIORITY_OFFSET)) >= after
}

/// The failure of a job that no runner claimed. `why`: the sentence about its wait.
pub fn unclaimed_failure(why: &str, limits: &Limits) -> Failure {
    // Drop the part after the semicolon, which is about the current moment.
    let why = why.split(';').next().unwrap_or_default().trim_end_matches('.').into();
    Failure::NeverClaimed { limit: limits.max_unclaimed().into(), why }
}

/// The place where a Ready job should wait, if it waits in the wrong one. With overflow, a job that waits too long for
/// runners moves to a task, and no job moves back. A task has no labels.
pub fn required_place(job: &Job, labels: &BTreeSet<String>, settings: &Settings, now: Timestamp) -> Option<Placement> {
    let (place, after) = match settings.compute {
        Compute::RunnersThenFargate if job.place == Placement::Fargate || !labels.is_empty() => return None,
        Compute::RunnersThenFargate => (Placement::Fargate, settings.overflow_after()),
        compute => (Placement::from_compute(compute), RECHECK_PLACE_AFTER),
    };
    let is_due = now.since(job.ready_since) >= after;
    (job.status == JobStatus::Ready && job.place != place && is_due && !job.dispatch.starting).then_some(place)
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

/// A platform fault before the agent worked requeues the job, up to the limit. Afterwards the project's policy decides,
/// because unfinished work costs money. Spot interruptions always requeue it, because Spot users accept them for the
/// price. So does a possible push or review, because the next attempt adopts it.
fn requeue_or_fail(job: &Job, failure: Failure) -> JobStep {
    let may_requeue = match job.status {
        JobStatus::Claimed | JobStatus::Preparing => true,
        JobStatus::Syncing if job.publishes() != Publishes::Nothing => true,
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
