//! One state: the table, who is at work on what, and what may still happen.

use super::Setting;
use super::rules::{Change, Lost, Rules, Value};

/// The most jobs, runners and sweepers of an exploration.
pub(super) const MOST: usize = 2;

/// How far a runner is with its job, as it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Phase {
    Claimed,
    Preparing,
    Executing,
    /// It may push, since this moment.
    MayPush(u8),
    Pushed,
    /// It does not go on and says so.
    Stops,
    /// Its agent asked something.
    Asks,
    /// It heard of a pause.
    Pauses,
}

/// What a runner works on, as it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Work {
    pub(super) job: u8,
    pub(super) attempt: u8,
    pub(super) phase: Phase,
    /// How many inputs its agent has read.
    pub(super) read: u8,
}

/// A call of a runner of which the function has read what it decides from. `fresh`: nobody wrote that since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Call {
    None,
    Claim { job: u8, seen: Value, then: u8, fresh: bool },
    Progress { seen: Value, then: u8, fresh: bool },
    Finish { seen: Value, ticket: Value, then: u8, fresh: bool },
    Yield { seen: Value, ticket: Value, then: u8, fresh: bool },
}

/// A call of which nobody waits for an answer: it came twice, or the process that made it is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Late {
    /// Its function has not read anything; a claim's has no job yet.
    Sent { change: Change, job: Option<u8> },
    /// It has read what it decides from.
    Read { change: Change, read: Read },
}

/// What the function of a call has read. `fresh`: nobody wrote that since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Read {
    pub(super) job: u8,
    pub(super) seen: Value,
    pub(super) ticket: Value,
    pub(super) then: u8,
    pub(super) fresh: bool,
}

/// A heartbeat that the function has read the runner for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Beat {
    pub(super) seen: Value,
    pub(super) runs: Option<u8>,
    pub(super) then: u8,
}

/// Where a sweeper is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Sweeper {
    Idle,
    /// It has read a runner.
    Judges {
        runner: u8,
        seen: Value,
        then: u8,
    },
    /// It has read one of its jobs as well.
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
    /// It has read one of its jobs, which is not held by the slot that was read.
    Empties {
        runner: u8,
        seen: Value,
        job: u8,
    },
    /// It has read a job that is due.
    Job {
        job: u8,
        value: Value,
        ticket: Value,
        then: u8,
        fresh: bool,
    },
}

/// What a person wants of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Wish {
    Cancel,
    Pause,
    Continue,
    /// This is said to its agent.
    Say(u8),
}

/// A wish whose function has read the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Wishing {
    pub(super) wish: Wish,
    pub(super) job: u8,
    pub(super) value: Value,
    pub(super) ticket: Value,
    pub(super) then: u8,
    pub(super) fresh: bool,
}

/// Everything that is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct State {
    pub(super) now: u8,
    pub(super) jobs: [Value; MOST],
    /// As they were before they were last written, where reads lag.
    pub(super) before: [Value; MOST],
    pub(super) tickets: [Value; MOST],
    pub(super) runners: [Value; MOST],
    /// What each runner works on.
    pub(super) work: [Option<Work>; MOST],
    /// The number of each runner's next or present claim.
    pub(super) claims: [u8; MOST],
    pub(super) calls: [Call; MOST],
    pub(super) late: Option<Late>,
    pub(super) beats: [Option<Beat>; MOST],
    pub(super) sweepers: [Sweeper; MOST],
    pub(super) wishing: Option<Wishing>,
    /// In which moment each runner was heard last, by a heartbeat of that very moment.
    pub(super) heard: [u8; MOST],
    /// Which claims of each runner got a job.
    pub(super) got: [u16; MOST],
    /// Which attempts of each job have pushed.
    pub(super) pushed: [u8; MOST],
    pub(super) faults: u8,
    pub(super) doubles: u8,
    pub(super) crashes: u8,
    pub(super) cancels: u8,
    pub(super) pauses: u8,
    pub(super) says: u8,
    pub(super) questions: u8,
    /// Which jobs people want to pause, by the last wish that was written.
    pub(super) wants_pause: [bool; MOST],
    /// What was said to each job.
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

    /// A job, or its ticket, was written: what others read of it is stale.
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
