//! One state: the table, the running processes, and the faults that may still happen.

use super::Setting;
use super::rules::{Change, Lost, Rules, Value};

/// Maximum number of jobs, of runners and of sweepers.
pub(super) const MOST: usize = 2;

/// A runner's own view of its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Claimed,
    Preparing,
    Executing,
    /// Allowed to push since this moment.
    MayPush(u8),
    Pushed,
    /// Ends without a push and reports that.
    Stops,
    /// The agent has a question.
    Asks,
    /// The runner received a pause.
    Pauses,
}

/// A runner's own view of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Work {
    pub(super) job: u8,
    pub(super) attempt: u8,
    pub(super) phase: Phase,
    /// The number of inputs that the agent has read.
    pub(super) read: u8,
}

/// A runner's call after its function read the facts. `fresh`: no write has changed them since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    None,
    Claim { job: u8, seen: Value, then: u8, fresh: bool },
    Progress { seen: Value, then: u8, fresh: bool },
    Finish { seen: Value, ticket: Value, then: u8, fresh: bool },
    Yield { seen: Value, ticket: Value, then: u8, fresh: bool },
}

/// A call without a caller: a second copy, or a call whose process is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Late {
    /// Not read yet; a claim has no job yet.
    Sent { change: Change, job: Option<u8> },
    /// Read, but not written yet.
    Read { change: Change, read: Read },
}

/// The facts that a call's function has read. `fresh`: no write has changed them since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Read {
    pub(super) job: u8,
    pub(super) seen: Value,
    pub(super) ticket: Value,
    pub(super) then: u8,
    pub(super) fresh: bool,
}

/// A heartbeat after its function read the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Beat {
    pub(super) seen: Value,
    pub(super) runs: Option<u8>,
    pub(super) then: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sweeper {
    Idle,
    /// Has read a runner.
    Judges {
        runner: u8,
        seen: Value,
        then: u8,
    },
    /// Has also read one of its jobs.
    Takes {
        runner: u8,
        seen: Value,
        loss: Lost,
        job: u8,
        value: Value,
        ticket: Value,
        then: u8,
        fresh: bool,
    },
    /// Has also read one of its jobs, which belongs to another claim than the slot.
    Empties {
        runner: u8,
        seen: Value,
        job: u8,
    },
    /// Has read a due job.
    Job {
        job: u8,
        value: Value,
        ticket: Value,
        then: u8,
        fresh: bool,
    },
}

/// A user's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wish {
    Cancel,
    Pause,
    Continue,
    /// Sends this input to the agent.
    Say(u8),
}

/// A user's request after its function read the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wishing {
    pub(super) wish: Wish,
    pub(super) job: u8,
    pub(super) value: Value,
    pub(super) ticket: Value,
    pub(super) then: u8,
    pub(super) fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) now: u8,
    pub(super) jobs: [Value; MOST],
    /// The previous version of each job, if reads lag.
    pub(super) before: [Value; MOST],
    pub(super) tickets: [Value; MOST],
    pub(super) runners: [Value; MOST],
    pub(super) work: [Option<Work>; MOST],
    /// The number of each runner's current or next claim.
    pub(super) claims: [u8; MOST],
    pub(super) calls: [Call; MOST],
    pub(super) late: Option<Late>,
    pub(super) beats: [Option<Beat>; MOST],
    pub(super) sweepers: [Sweeper; MOST],
    pub(super) wishing: Option<Wishing>,
    /// The moment of each runner's last heartbeat that arrived in its own moment.
    pub(super) heard: [u8; MOST],
    /// The claims of each runner that got a job.
    pub(super) got: [u16; MOST],
    /// The attempts of each job that have pushed.
    pub(super) pushed: [u8; MOST],
    pub(super) faults: u8,
    pub(super) doubles: u8,
    pub(super) crashes: u8,
    pub(super) cancels: u8,
    pub(super) pauses: u8,
    pub(super) says: u8,
    pub(super) questions: u8,
    /// Whether the last request that was written for a job wants a pause.
    pub(super) wants_pause: [bool; MOST],
    /// The inputs that were stored for each job.
    pub(super) said: [u8; MOST],
}

impl State {
    pub(super) fn new(setting: &Setting, rules: &mut Rules) -> Self {
        let made = [0, 1].map(|at| rules.made(at));
        Self {
            now: 0,
            jobs: made.map(|(job, _)| job),
            before: made.map(|(job, _)| job),
            tickets: made.map(|(_, ticket)| ticket),
            runners: [0, 1].map(|at| rules.registered(at)),
            work: [None; MOST],
            claims: [0; MOST],
            calls: [Call::None; MOST],
            late: None,
            beats: [None; MOST],
            sweepers: [Sweeper::Idle; MOST],
            wishing: None,
            heard: [0; MOST],
            got: [0; MOST],
            pushed: [0; MOST],
            faults: setting.faults,
            doubles: setting.doubles,
            crashes: setting.crashes,
            cancels: setting.cancels,
            pauses: setting.pauses,
            says: setting.says,
            questions: setting.questions,
            wants_pause: [false; MOST],
            said: [0; MOST],
        }
    }

    /// Marks every earlier read of this job and of its ticket as stale.
    pub(super) fn written(&mut self, at: usize) {
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
        if let Some(Late::Read { read, .. }) = &mut self.late
            && is(read.job)
        {
            read.fresh = false;
        }
        for sweeper in &mut self.sweepers {
            match sweeper {
                Sweeper::Takes { job, fresh, .. } | Sweeper::Job { job, fresh, .. } if is(*job) => *fresh = false,
                _ => {}
            }
        }
        if let Some(wishing) = self.wishing.as_mut().filter(|wishing| is(wishing.job)) {
            wishing.fresh = false;
        }
    }
}
