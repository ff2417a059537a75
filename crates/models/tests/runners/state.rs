//! One state: the table, the running processes, and the faults that may still happen.

use super::Setting;
use super::rules::{Change, ItemVersion, LossKind, Rules};

pub(super) const MAX_OF_EACH: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Claimed,
    Preparing,
    Executing,
    /// Allowed to push since this moment.
    MayPush(u8),
    Pushed,
    Stopping,
    Questioning,
    Pausing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Work {
    pub(super) job: u8,
    pub(super) attempt: u8,
    pub(super) phase: Phase,
    pub(super) inputs_read: u8,
}

/// A runner's call after its function read the facts. `fresh`: no write has changed them since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    None,
    Claim { job: u8, seen: ItemVersion, then: u8, fresh: bool },
    Progress { seen: ItemVersion, then: u8, fresh: bool },
    Finish { seen: ItemVersion, ticket: ItemVersion, then: u8, fresh: bool },
    Yield { seen: ItemVersion, ticket: ItemVersion, then: u8, fresh: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LateCall {
    /// Not read yet; a claim has no job yet.
    Sent { change: Change, job: Option<u8> },
    /// Read, but not written yet.
    Read { change: Change, read: CallFacts },
}

/// The facts that a call's function has read. `fresh`: no write has changed them since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallFacts {
    pub(super) job: u8,
    pub(super) version_read: ItemVersion,
    pub(super) ticket: ItemVersion,
    pub(super) then: u8,
    pub(super) fresh: bool,
}

/// A heartbeat after its function read the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PendingHeartbeat {
    pub(super) version_read: ItemVersion,
    pub(super) active_job: Option<u8>,
    pub(super) then: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sweeper {
    Idle,
    DecidingRunner {
        runner: u8,
        seen: ItemVersion,
        then: u8,
    },
    EndingHeldJob {
        runner: u8,
        seen: ItemVersion,
        loss: LossKind,
        job: u8,
        value: ItemVersion,
        ticket: ItemVersion,
        then: u8,
        fresh: bool,
    },
    /// Has also read one of its jobs, which belongs to another claim than the slot.
    DroppingSlot {
        runner: u8,
        seen: ItemVersion,
        job: u8,
    },
    HandlingDueJob {
        job: u8,
        value: ItemVersion,
        ticket: ItemVersion,
        then: u8,
        fresh: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum UserRequest {
    Cancel,
    Pause,
    Continue,
    Input(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct UserCall {
    pub(super) request: UserRequest,
    pub(super) job: u8,
    pub(super) value: ItemVersion,
    pub(super) ticket: ItemVersion,
    pub(super) then: u8,
    pub(super) fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) now: u8,
    pub(super) jobs: [ItemVersion; MAX_OF_EACH],
    pub(super) tickets: [ItemVersion; MAX_OF_EACH],
    pub(super) runners: [ItemVersion; MAX_OF_EACH],
    pub(super) work: [Option<Work>; MAX_OF_EACH],
    pub(super) claims: [u8; MAX_OF_EACH],
    pub(super) calls: [Call; MAX_OF_EACH],
    pub(super) late_call: Option<LateCall>,
    pub(super) heartbeats: [Option<PendingHeartbeat>; MAX_OF_EACH],
    pub(super) sweepers: [Sweeper; MAX_OF_EACH],
    pub(super) user_call: Option<UserCall>,
    /// The moment of each runner's last heartbeat that arrived in its own moment.
    pub(super) last_heartbeat: [u8; MAX_OF_EACH],
    pub(super) used_claims: [u16; MAX_OF_EACH],
    pub(super) pushed: [u8; MAX_OF_EACH],
    pub(super) faults: u8,
    pub(super) doubled_calls: u8,
    pub(super) crashes: u8,
    pub(super) cancels: u8,
    pub(super) pauses: u8,
    pub(super) remaining_inputs: u8,
    pub(super) questions: u8,
    pub(super) pause_wanted: [bool; MAX_OF_EACH],
    pub(super) stored_inputs: [u8; MAX_OF_EACH],
}

impl State {
    pub(super) fn new(setting: &Setting, rules: &mut Rules) -> Self {
        let first_jobs = [0, 1].map(|at| rules.first_job(at));
        Self {
            now: 0,
            jobs: first_jobs.map(|(job, _)| job),
            tickets: first_jobs.map(|(_, ticket)| ticket),
            runners: [0, 1].map(|at| rules.new_runner(at)),
            work: [None; MAX_OF_EACH],
            claims: [0; MAX_OF_EACH],
            calls: [Call::None; MAX_OF_EACH],
            late_call: None,
            heartbeats: [None; MAX_OF_EACH],
            sweepers: [Sweeper::Idle; MAX_OF_EACH],
            user_call: None,
            last_heartbeat: [0; MAX_OF_EACH],
            used_claims: [0; MAX_OF_EACH],
            pushed: [0; MAX_OF_EACH],
            faults: setting.faults,
            doubled_calls: setting.doubled_calls,
            crashes: setting.crashes,
            cancels: setting.cancels,
            pauses: setting.pauses,
            remaining_inputs: setting.inputs,
            questions: setting.questions,
            pause_wanted: [false; MAX_OF_EACH],
            stored_inputs: [0; MAX_OF_EACH],
        }
    }

    pub(super) fn mark_reads_stale(&mut self, at: usize) {
        let is = |job: u8| usize::from(job) == at;
        for (call, work) in self.calls.iter_mut().zip(self.work) {
            let worked = work.is_some_and(|work| is(work.job));
            match call {
                Call::Claim { job, fresh, .. } if is(*job) => *fresh = false,
                Call::Progress { fresh, .. } | Call::Finish { fresh, .. } | Call::Yield { fresh, .. } if worked => {
                    *fresh = false
                }
                _ => {}
            }
        }
        if let Some(LateCall::Read { read, .. }) = &mut self.late_call
            && is(read.job)
        {
            read.fresh = false;
        }
        for sweeper in &mut self.sweepers {
            match sweeper {
                Sweeper::EndingHeldJob { job, fresh, .. } | Sweeper::HandlingDueJob { job, fresh, .. } if is(*job) => {
                    *fresh = false
                }
                _ => {}
            }
        }
        if let Some(wishing) = self.user_call.as_mut().filter(|wishing| is(wishing.job)) {
            wishing.fresh = false;
        }
    }
}
