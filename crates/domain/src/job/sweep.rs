//! Decides the next step for a due job, as a function of the job and the time.

pub mod runners;
mod waiting;

pub use waiting::{ClassFacts, RECHECK_PLACE_AFTER, TaskObstacle, WaitingStep, required_place, unclaimed_failure};

use crate::agent::runner::{MAX_HEARTBEAT_GAP, OFFLINE_AFTER, Runner};
use crate::job::{ActiveAttempt, DispatchFault, FINISH_GRACE, Job, JobStatus, Placement, Publishes, SILENT_AFTER};
use crate::project::{OfflinePolicy, Project};
use crate::text::failure::{Failure, FailureClass};
use crate::text::time::Timestamp;
use std::time::Duration;

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

/// Further facts for the decision about a due job.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    /// Since when the sweeper runs without a pause. Earlier silence proves nothing, as all machines may have slept.
    pub since: Timestamp,
    /// The self-hosted runner of the attempt, while it is registered.
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
    let limits = watch.project.map(|project| project.settings.limits).unwrap_or_default();
    if !job.dispatch.starting && now.since(job.startable_since(None)) >= limits.max_unclaimed() {
        return JobStep::Fail(unclaimed_failure(
            crate::job::explanation::wait_reason(job, None, now).as_ref(),
            &limits,
        ));
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
    let may_be_suspended = watch.runner.is_some_and(|runner| may_be_suspended(run, runner, now));
    let is_overdue = now >= run.overdue_at(limit) && !may_be_suspended;
    if let Some(died) = run.died.as_ref().filter(|_| !is_overdue) {
        let is_late = now >= died.at.plus(FINISH_GRACE);
        return if is_late { requeue_or_fail(job, died.failure.clone()) } else { JobStep::Skip };
    }
    if run.died.is_none() && now >= run.silent_at() {
        if now < watch.since.plus(OFFLINE_AFTER) {
            // After a pause of the sweeper, the attempt may be as late as the sweeper.
            return JobStep::Skip;
        }
        let is_alone = match (&run.runner, watch.runner) {
            (None, _) => true,
            (Some(_), Some(runner)) => !may_be_suspended && runner.alive_for(run.last_heartbeat()) >= OFFLINE_AFTER,
            (Some(_), None) => false,
        };
        if is_alone {
            return requeue_or_fail(job, Failure::AttemptSilent { ago: run.silence(now).into() });
        }
    }
    if is_overdue { JobStep::Fail(Failure::TimeLimit { limit: limit.into() }) } else { JobStep::Skip }
}

/// Whether the machine of runner and attempt may be suspended, or was just woken. The next heartbeat of the attempt
/// then extends its time limit. Otherwise `runners` ends the jobs at the runner's own time.
fn may_be_suspended(run: &ActiveAttempt, runner: &Runner, now: Timestamp) -> bool {
    let is_gap = |since| now.since(since) > MAX_HEARTBEAT_GAP;
    let was_alive = runner.alive_for(run.last_heartbeat()) >= OFFLINE_AFTER;
    // A process that stays silent although its runner answers from time to time is not suspended.
    let is_short = run.silence(now) <= runner.offline_after() * 2 + SILENT_AFTER;
    runner.may_return(now) && is_short && is_gap(run.last_heartbeat()) && (is_gap(runner.last_heartbeat) || !was_alive)
}

pub fn step_after_runner_loss(job: &Job, failure: Failure, now: Timestamp) -> JobStep {
    if !job.status.is_active() || job.push_until.is_some_and(|until| now < until) {
        return JobStep::Skip;
    }
    requeue_or_fail(job, failure)
}

/// A platform fault before the agent worked requeues the job, up to the limit. Afterwards the project's policy decides,
/// because unfinished work costs money. Spot interruptions always requeue it, because Spot users accept them for the
/// price. So does a possible push or review, because the next attempt adopts it.
///
/// A job that has used its reservation fails, because its next agent could make no request.
fn requeue_or_fail(job: &Job, failure: Failure) -> JobStep {
    let may_requeue = match job.status {
        JobStatus::Claimed | JobStatus::Preparing => true,
        JobStatus::Syncing if job.publishes() != Publishes::Nothing => true,
        _ if matches!(failure, Failure::SpotInterrupted {}) => true,
        _ => job.policy.offline == OfflinePolicy::Requeue,
    };
    if failure.class() != FailureClass::Infra || !may_requeue || job.requeues >= job.policy.requeues {
        return JobStep::Fail(failure);
    }
    let may_adopt = job.lost_a_push || (job.status == JobStatus::Syncing && job.publishes() != Publishes::Nothing);
    match job.failure_after_loss(None).filter(|_| !may_adopt) {
        Some(limit) => JobStep::Fail(limit),
        None => JobStep::Requeue(failure),
    }
}

#[cfg(test)]
mod tests;
