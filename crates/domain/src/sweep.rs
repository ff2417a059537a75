//! Decides the next step for a due job, as a function of the job and the time.

use crate::failure::{Class, Failure};
use crate::job::{DispatchFault, FINISH_GRACE, Job, Place, Status};
use crate::project::{Compute, OfflinePolicy};
use crate::text::Span;
use crate::time::Timestamp;
use std::time::Duration;

/// How long a job may stay Ready before it fails.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// Time after which the sweeper checks whether a Ready job still waits in the right place.
pub const REPLACE_AFTER: Duration = Duration::from_secs(60);

/// Delay after the sweeper failed `tries` times on an item: 1 min, doubling up to 1 h.
pub fn back_off(tries: u32) -> Duration {
    Duration::from_secs(60u64.saturating_mul(1 << tries.min(6)).min(3_600))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Admit,
    Start,
    /// Abandon the started task, then start another one.
    StartAnew(DispatchFault),
    Requeue(Failure),
    /// Requeue the job once more, only to find out whether a lost attempt pushed.
    Adopt(Failure),
    GiveUp(Failure),
    /// Cancel it: its runner did not stop in time.
    CallOff,
    /// End it: no user answered or resumed it in time.
    Expire,
    /// It is too early, or another component acts.
    Nothing,
}

pub fn step(job: &Job, now: Timestamp) -> Step {
    match job.status {
        Status::Pending if job.waits.as_ref().is_none_or(|waits| waits.next <= now) => Step::Admit,
        Status::Ready if job.place == Place::Fargate => ready(job, now),
        Status::Claimed | Status::Preparing | Status::Executing | Status::Syncing => active(job, now),
        Status::AwaitingInput | Status::Paused if job.rests_until().is_some_and(|until| until <= now) => Step::Expire,
        _ => Step::Nothing,
    }
}

fn ready(job: &Job, now: Timestamp) -> Step {
    if now < job.dispatch.due {
        return Step::Nothing;
    }
    if let Some(failure) = job.never_started() {
        return Step::GiveUp(failure);
    }
    if now.since(job.ready_since) >= LONGEST_WAIT {
        let waits = job.model.as_ref().map(|model| crate::breaker::wait(model.cause, &model.capability, model.until));
        let why = waits.map_or_else(|| "no container could be started for it".into(), |wait| wait.sentence());
        let why = why.trim_end_matches('.').into();
        return Step::GiveUp(Failure::NeverClaimed { limit: Span::from(LONGEST_WAIT), why });
    }
    if job.dispatch.starting { Step::StartAnew(DispatchFault::Silent { times: 1 }) } else { Step::Start }
}

fn active(job: &Job, now: Timestamp) -> Step {
    if job.push_until.is_some_and(|until| now < until) {
        return Step::Nothing;
    }
    let Some(run) = &job.run else { return Step::Nothing };
    if job.stops_by().is_some_and(|until| now >= until) {
        return Step::CallOff;
    }
    let wall = Duration::from_secs(job.policy.wall_secs);
    if now >= run.started.plus(wall).plus(crate::due::OVERDUE_GRACE) {
        return unless_pushed(job, Failure::TimeLimit { limit: wall.into() });
    }
    match &run.died {
        Some(died) if now >= died.at.plus(FINISH_GRACE) => after_death(job, died.failure.clone()),
        _ => Step::Nothing,
    }
}

/// Decides about a job that its self-hosted runner lost.
pub fn lost(job: &Job, failure: Failure, now: Timestamp) -> Step {
    if !job.status.is_active() || job.push_until.is_some_and(|until| now < until) {
        return Step::Nothing;
    }
    after_death(job, failure)
}

/// Decides about a Ready job that waits for runners. `compute` is the project's current setting, `why` the reason for
/// the wait.
pub fn waiting(job: &Job, compute: Compute, why: &str, now: Timestamp) -> Waiting {
    if job.status != Status::Ready || job.place != Place::Runners {
        return Waiting::Nothing;
    }
    let waited = now.since(job.ready_since);
    if waited >= LONGEST_WAIT {
        // Drop the part after the semicolon, which is about the current moment.
        let why = why.split(';').next().unwrap_or_default().trim_end_matches('.').into();
        return Waiting::GiveUp(Failure::NeverClaimed { limit: Span::from(LONGEST_WAIT), why });
    }
    match elsewhere(job, compute, now) {
        Some(place) => Waiting::Place(place),
        None => Waiting::Nothing,
    }
}

/// The place where a Ready job should wait, if it waits in the wrong one.
pub fn elsewhere(job: &Job, compute: Compute, now: Timestamp) -> Option<Place> {
    let place = Place::of(compute);
    let old = now.since(job.ready_since) >= REPLACE_AFTER;
    (job.status == Status::Ready && job.place != place && old && !job.dispatch.starting).then_some(place)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    Nothing,
    Place(Place),
    GiveUp(Failure),
}

/// A platform fault before the agent worked requeues the job, up to the limit. Afterwards the project's policy decides,
/// because unfinished work costs money. Spot interruptions requeue it in both cases, because Spot users accept them for
/// the price.
fn after_death(job: &Job, failure: Failure) -> Step {
    let may_go_back = match job.status {
        Status::Claimed | Status::Preparing => true,
        _ if matches!(failure, Failure::SpotInterrupted {}) => true,
        _ => job.policy.offline == OfflinePolicy::Requeue,
    };
    if failure.class() == Class::Infra && may_go_back && job.requeues < job.policy.requeues {
        Step::Requeue(failure)
    } else {
        unless_pushed(job, failure)
    }
}

/// Fails the job. If a lost attempt may have pushed, an adopting attempt looks for that first, once.
fn unless_pushed(job: &Job, failure: Failure) -> Step {
    if job.may_have_pushed() && job.adopts.is_none() { Step::Adopt(failure) } else { Step::GiveUp(failure) }
}

#[cfg(test)]
mod tests;
