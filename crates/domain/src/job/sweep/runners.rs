//! Decides how the sweeper handles a runner: whether it goes Offline, and which jobs it loses.
//! A silent runner is first stored as Offline, over the heartbeat that was read. Its jobs end afterwards, each over the
//! epoch of that write, so that a heartbeat between the two writes preserves them.

use crate::agent::runner::{Presence, Runner, Slot};
use crate::job::{FINISH_GRACE, Job};
use crate::text::failure::Failure;
use crate::text::id::JobId;
use crate::text::time::Timestamp;
use std::time::Duration;

/// A heartbeat without a slot's job ends the slot only at this age: it may have been sent before the claim's answer.
pub const GHOST_AFTER: Duration = Duration::from_secs(60);

/// A runner without jobs is deleted after this time without a heartbeat.
pub const DELETE_AFTER: Duration = Duration::from_secs(30 * 24 * 3_600);

/// After a pause of this length between sweeps, runners may have been unable to send heartbeats. It exceeds the minute
/// between two sweeps on AWS. The difference to the usual silence of 90 s is more than two busy heartbeats, so that a
/// runner can send its next heartbeat after the pause in time.
const MAX_SWEEP_GAP: Duration = Duration::from_secs(65);

const STORM_MIN_RUNNERS: usize = 3;

/// A storm affects more than this share of the Online runners. Units: percent.
const STORM_MIN_PERCENT: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    Valid,
    Invalid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossReason {
    Silent,
    /// It sends heartbeats, but has no process for the job.
    NoProcess,
    Deleted,
    TokenInvalid,
}

impl LossReason {
    /// The job's failure, unless it is requeued.
    pub fn failure(self, runner: &Runner, now: Timestamp) -> Failure {
        let name = runner.name.clone();
        match self {
            Self::Silent => Failure::RunnerOffline { runner: name, ago: now.since(runner.last_heartbeat).into() },
            Self::NoProcess => Failure::RunnerCrashed { exit: "no result".into() },
            Self::Deleted => Failure::RunnerRemoved { runner: name, reason: "it was deleted".into() },
            Self::TokenInvalid => {
                Failure::RunnerRemoved { runner: name, reason: "its token was revoked or has expired".into() }
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerStep {
    Skip,
    MarkOffline(Box<Runner>),
    EndJobs(LossReason, Vec<(JobId, Slot)>),
    DeleteUnused,
    Remove,
}

/// The start of the current series of sweeps without a pause. `last`: the last sweep, and its series' start.
pub fn uninterrupted_since(last: Option<(Timestamp, Timestamp)>, now: Timestamp) -> Timestamp {
    match last {
        Some((at, since)) if now.since(at) <= MAX_SWEEP_GAP => since,
        _ => now,
    }
}

/// Whether the silence is probably Pullyard's own fault: many runners fell silent at once. Also true if not all runners
/// could be read. Their jobs are then spared for one more window.
pub fn is_storm<'a>(runners: impl IntoIterator<Item = &'a Runner>, is_whole: bool, now: Timestamp) -> bool {
    if !is_whole {
        return true;
    }
    let online = runners.into_iter().filter(|runner| runner.status == Presence::Online).collect::<Vec<_>>();
    let silent = online.iter().filter(|runner| runner.is_silent(now)).count();
    silent >= STORM_MIN_RUNNERS && silent * 100 > online.len() * STORM_MIN_PERCENT
}

/// Whether some of the silence that makes the runner Offline was not watched. Its jobs are then spared like in a storm.
pub fn is_unwatched(runner: &Runner, watched_since: Timestamp, now: Timestamp) -> bool {
    now.since(watched_since) <= runner.offline_after()
}

/// `token` does not matter for a runner without slots.
pub fn next_step(runner: &Runner, token: TokenState, storm: bool, now: Timestamp) -> RunnerStep {
    let all = || runner.slots.iter().map(|(job, slot)| (job.clone(), slot.clone())).collect::<Vec<_>>();
    let is_busy = !runner.slots.is_empty();
    match runner.status {
        Presence::Deleting if is_busy => RunnerStep::EndJobs(LossReason::Deleted, all()),
        Presence::Deleting => RunnerStep::Remove,
        _ if is_busy && token == TokenState::Invalid => RunnerStep::EndJobs(LossReason::TokenInvalid, all()),
        Presence::Online if runner.is_silent(now) => {
            RunnerStep::MarkOffline(Box::new(mark_offline(runner, storm, now)))
        }
        Presence::Online => {
            let ghosts = runner.slots.iter().filter(|(job, slot)| is_ghost(runner, job, slot));
            let ghosts = ghosts.map(|(job, slot)| (job.clone(), slot.clone())).collect::<Vec<_>>();
            if ghosts.is_empty() { RunnerStep::Skip } else { RunnerStep::EndJobs(LossReason::NoProcess, ghosts) }
        }
        Presence::Offline if is_busy => {
            let is_spared = runner.spared_until.is_some_and(|until| now < until);
            // Its sign-off may have overtaken a finish.
            let is_early = now < runner.last_heartbeat.plus(FINISH_GRACE);
            if is_spared || is_early { RunnerStep::Skip } else { RunnerStep::EndJobs(LossReason::Silent, all()) }
        }
        Presence::Offline if now.since(runner.last_heartbeat) >= DELETE_AFTER => RunnerStep::DeleteUnused,
        Presence::Offline => RunnerStep::Skip,
    }
}

fn mark_offline(runner: &Runner, storm: bool, now: Timestamp) -> Runner {
    Runner {
        status: Presence::Offline,
        epoch: runner.epoch + 1,
        spared_until: storm.then(|| now.plus(runner.offline_after())),
        ..runner.clone()
    }
}

fn is_ghost(runner: &Runner, job: &JobId, slot: &Slot) -> bool {
    !runner.active.contains(job) && runner.last_heartbeat >= slot.since.plus(GHOST_AFTER)
}

/// Whether exactly this slot holds the job. Otherwise the job has ended or was requeued, and the slot is empty.
pub fn is_slot_of_job(job: &Job, runner: &Runner, slot: &Slot) -> bool {
    let run = job.run.as_ref().filter(|_| job.status.is_active());
    run.is_some_and(|run| {
        run.runner.as_ref() == Some(&runner.id) && run.claim == slot.claim && job.attempt == slot.attempt
    })
}

#[cfg(test)]
mod tests;
