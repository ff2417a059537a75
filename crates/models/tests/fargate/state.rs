//! One state: the table, ECS, who is at work on what, and what may still happen.

use super::Setting;
use super::rules::{Rules, Value};

/// The most jobs and dispatchers of an exploration.
pub(super) const MOST: usize = 2;

/// The most tasks of one.
pub(super) const TASKS: usize = 3;

/// A person's moves: out of the trigger status, and into it again.
pub(super) const MOVES: usize = 2;

/// How far a task is with its job, as it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Boots,
    Claimed,
    Preparing,
    Executing,
    /// It may push, since this moment.
    MayPush(u8),
    Pushed,
    /// It does not go on and says so.
    Stops,
}

/// A call of a task of which the function has read what it decides from. `fresh`: nobody wrote that since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    None,
    Claim { seen: Value, then: u8, fresh: bool },
    Progress { seen: Value, then: u8, fresh: bool },
    Finish { seen: Value, ticket: Value, then: u8, fresh: bool },
}

/// A task that ECS was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Task {
    pub(super) job: u8,
    pub(super) attempt: u8,
    pub(super) number: u8,
    pub(super) alive: bool,
    /// Its death stands in the table.
    pub(super) noted: bool,
    pub(super) phase: Phase,
    pub(super) call: Call,
}

/// Where a dispatcher is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dispatcher {
    Idle,
    /// It has read a job that needs a start, or the end of one.
    Writes {
        job: u8,
        seen: Value,
        then: u8,
        fresh: bool,
    },
    /// The start stands in the table and is to be asked for.
    Asks {
        job: u8,
        attempt: u8,
        number: u8,
    },
    /// ECS has named the task.
    Names {
        task: u8,
    },
}

/// Where the sweeper is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sweeper {
    Idle,
    /// It has read a job that is due.
    Job {
        job: u8,
        seen: Value,
        ticket: Value,
        then: u8,
        fresh: bool,
    },
}

/// Where the function is that hears of state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Hears {
    Idle,
    /// It has read the job of a task that stopped.
    Stopped {
        task: u8,
        seen: Value,
        then: u8,
        fresh: bool,
    },
}

/// Where a function is that works on the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Desk {
    Idle,
    /// The ticket function has read what it decides a move from.
    Told {
        event: u8,
        ticket: Value,
        ledger: Value,
        then: u8,
        fresh: bool,
    },
    /// Effects have read a ticket that is to be settled.
    Settles {
        ticket: Value,
        ledger: Value,
        then: u8,
        fresh: bool,
    },
}

/// Everything that is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) now: u8,
    /// The job of the first entry, and that of the second once there is one.
    pub(super) jobs: [Option<Value>; MOST],
    pub(super) ticket: Value,
    /// What the second entry was answered.
    pub(super) ledger: Value,
    pub(super) tasks: [Option<Task>; TASKS],
    pub(super) dispatchers: [Dispatcher; MOST],
    pub(super) sweeper: Sweeper,
    pub(super) hears: Hears,
    /// The ticket function, and effects.
    pub(super) desks: [Desk; 2],
    /// The branch of each job was moved.
    pub(super) pushed: [bool; MOST],
    /// How often each move may still be told.
    pub(super) tellings: [u8; MOVES],
    pub(super) faults: u8,
    pub(super) deaths: u8,
}

impl State {
    pub(super) fn new(setting: &Setting, rules: &mut Rules) -> Self {
        let (job, ticket) = rules.made();
        Self {
            now: 0,
            jobs: [Some(job), None],
            ticket,
            ledger: rules.no_answer(),
            tasks: [None; TASKS],
            dispatchers: [Dispatcher::Idle; MOST],
            sweeper: Sweeper::Idle,
            hears: Hears::Idle,
            desks: [Desk::Idle; 2],
            pushed: [false; MOST],
            tellings: [setting.tellings; MOVES],
            faults: setting.faults,
            deaths: setting.deaths,
        }
    }

    /// A job was written: what others read of it is stale.
    pub(super) fn wrote_job(&mut self, written: u8) {
        for task in self.tasks.iter_mut().flatten().filter(|task| task.job == written) {
            match &mut task.call {
                Call::Claim { fresh, .. } | Call::Progress { fresh, .. } | Call::Finish { fresh, .. } => *fresh = false,
                Call::None => {}
            }
        }
        for dispatcher in &mut self.dispatchers {
            if let Dispatcher::Writes { job, fresh, .. } = dispatcher
                && *job == written
            {
                *fresh = false;
            }
        }
        if let Sweeper::Job { job, fresh, .. } = &mut self.sweeper
            && *job == written
        {
            *fresh = false;
        }
        if let Hears::Stopped { task, fresh, .. } = &mut self.hears
            && self.tasks[usize::from(*task)].is_some_and(|task| task.job == written)
        {
            *fresh = false;
        }
    }

    /// The ticket was written.
    pub(super) fn wrote_ticket(&mut self) {
        for task in self.tasks.iter_mut().flatten() {
            if let Call::Finish { fresh, .. } = &mut task.call {
                *fresh = false;
            }
        }
        if let Sweeper::Job { fresh, .. } = &mut self.sweeper {
            *fresh = false;
        }
        for desk in &mut self.desks {
            match desk {
                Desk::Told { fresh, .. } | Desk::Settles { fresh, .. } => *fresh = false,
                Desk::Idle => {}
            }
        }
    }

    /// No function lives for hours: what it was about to write is not written.
    pub(super) fn without_functions(mut self) -> Self {
        for task in self.tasks.iter_mut().flatten() {
            task.call = Call::None;
        }
        self.dispatchers = [Dispatcher::Idle; MOST];
        self.sweeper = Sweeper::Idle;
        self.hears = Hears::Idle;
        self.desks = [Desk::Idle; 2];
        self
    }
}
