//! What a sweep does about a runner: whom it takes Offline, and which jobs it takes away from whom.
//!
//! A runner that falls silent is first written down as Offline, over the heartbeat that was read, and only
//! then loses its jobs, each over the epoch of that: one that is heard between the two keeps them.

use super::{OFFLINE_AFTER, Presence, Runner, Slot};
use crate::failure::Failure;
use crate::id::JobId;
use crate::job::{FINISH_GRACE, Job};
use crate::time::Timestamp;
use std::time::Duration;

/// How old a slot is before a heartbeat that does not name its job ends it: the heartbeat may have left
/// before the claim was answered.
pub const GHOST_AFTER: Duration = Duration::from_secs(60);

/// After this long Offline and without a job, a runner is forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(30 * 24 * 3_600);

/// After so long without a sweep, runners may not have been able to speak. Longer than the minute between
/// two sweeps on AWS; less than [`OFFLINE_AFTER`] by more than two busy heartbeats, since a runner that spoke
/// just before the pause must have time to speak after it.
const UNWATCHED_AFTER: Duration = Duration::from_secs(65);

/// From how many runners on a silence can be ours rather than theirs.
const STORM_FROM: usize = 3;

/// More than this share of the runners that were Online. Units: percent.
const STORM_SHARE: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Good,
    /// It was taken back, has expired, or is gone.
    Dead,
}

/// Why a runner loses a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Silent,
    /// It lives, and has no process for the job.
    NoProcess,
    Deleted,
    TokenDead,
}

impl Loss {
    /// What the job fails with, unless it goes back.
    pub fn failure(self, runner: &Runner, now: Timestamp) -> Failure {
        let name = runner.name.clone();
        match self {
            Self::Silent => Failure::RunnerOffline { runner: name, ago: now.since(runner.last_heartbeat).into() },
            Self::NoProcess => Failure::RunnerCrashed { exit: "no result".into() },
            Self::Deleted => Failure::RunnerRemoved { runner: name, reason: "it was deleted".into() },
            Self::TokenDead => {
                Failure::RunnerRemoved { runner: name, reason: "its token was revoked or has expired".into() }
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Nothing,
    TakeOffline(Box<Runner>),
    Lose(Loss, Vec<(JobId, Slot)>),
    Forget,
    /// Nothing holds it any more.
    Remove,
}

/// Since when the sweeper has gone round without a pause; `last` is when it last did, and since when by then.
pub fn watched_since(last: Option<(Timestamp, Timestamp)>, now: Timestamp) -> Timestamp {
    match last {
        Some((at, since)) if now.since(at) <= UNWATCHED_AFTER => since,
        _ => now,
    }
}

/// Many fell silent at once, or part of their silence was not watched, or `is_whole` says that nobody knows of how many
/// it is: then the fault is likely ours, and their jobs are left alone for one more window.
pub fn is_storm<'a>(
    runners: impl IntoIterator<Item = &'a Runner>,
    is_whole: bool,
    watched_since: Timestamp,
    now: Timestamp,
) -> bool {
    if !is_whole || now.since(watched_since) <= OFFLINE_AFTER {
        return true;
    }
    let online = runners.into_iter().filter(|runner| runner.status == Presence::Online).collect::<Vec<_>>();
    let silent = online.iter().filter(|runner| runner.is_silent(now)).count();
    silent >= STORM_FROM && silent * 100 > online.len() * STORM_SHARE
}

/// What this runner needs now. `token` may be taken for good where there is no slot.
pub fn step(runner: &Runner, token: Token, storm: bool, now: Timestamp) -> Step {
    let all = || runner.slots.iter().map(|(job, slot)| (job.clone(), slot.clone())).collect::<Vec<_>>();
    let busy = !runner.slots.is_empty();
    match runner.status {
        Presence::Deleting if busy => Step::Lose(Loss::Deleted, all()),
        Presence::Deleting => Step::Remove,
        _ if busy && token == Token::Dead => Step::Lose(Loss::TokenDead, all()),
        Presence::Online if runner.is_silent(now) => Step::TakeOffline(Box::new(offline(runner, storm, now))),
        Presence::Online => {
            let ghosts = runner.slots.iter().filter(|(job, slot)| is_ghost(runner, job, slot));
            let ghosts = ghosts.map(|(job, slot)| (job.clone(), slot.clone())).collect::<Vec<_>>();
            if ghosts.is_empty() { Step::Nothing } else { Step::Lose(Loss::NoProcess, ghosts) }
        }
        Presence::Offline if busy => {
            let spared = runner.spared_until.is_some_and(|until| now < until);
            // Its goodbye may have overtaken a finish.
            let early = now < runner.last_heartbeat.plus(FINISH_GRACE);
            if spared || early { Step::Nothing } else { Step::Lose(Loss::Silent, all()) }
        }
        Presence::Offline if now.since(runner.last_heartbeat) >= FORGOTTEN_AFTER => Step::Forget,
        Presence::Offline => Step::Nothing,
    }
}

fn offline(runner: &Runner, storm: bool, now: Timestamp) -> Runner {
    Runner {
        status: Presence::Offline,
        epoch: runner.epoch + 1,
        spared_until: storm.then(|| now.plus(OFFLINE_AFTER)),
        ..runner.clone()
    }
}

fn is_ghost(runner: &Runner, job: &JobId, slot: &Slot) -> bool {
    !runner.active.contains(job) && runner.last_heartbeat >= slot.since.plus(GHOST_AFTER)
}

/// The job is held by this very slot. One that is not has ended or gone back, and the slot is empty.
pub fn holds(job: &Job, runner: &Runner, slot: &Slot) -> bool {
    let run = job.run.as_ref().filter(|_| job.status.is_active());
    run.is_some_and(|run| {
        run.runner.as_ref() == Some(&runner.id) && run.claim == slot.claim && job.attempt == slot.attempt
    })
}

#[cfg(test)]
mod tests;
