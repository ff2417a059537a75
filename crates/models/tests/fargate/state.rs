//! One state: the table, ECS, the running processes, and the faults that may still happen.

use super::Setting;
use super::rules::{ItemVersion, Rules};

/// Maximum number of jobs and of dispatchers.
pub(super) const MAX_JOBS: usize = 2;

/// Maximum number of tasks.
pub(super) const MAX_TASKS: usize = 3;

/// The user's moves: out of the trigger status, and back into it.
pub(super) const MOVES: usize = 2;

/// A task's call after its function read the facts. `fresh`: no write has changed them since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    None,
    Claim { seen: ItemVersion, then: u8, fresh: bool },
    Finish { completed: bool, seen: ItemVersion, ticket: ItemVersion, then: u8, fresh: bool },
}

/// A task that was requested from ECS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Task {
    pub(super) job: u8,
    pub(super) attempt: u8,
    pub(super) number: u8,
    pub(super) alive: bool,
    /// The table records its death.
    pub(super) death_recorded: bool,
    /// It knows that it has the job.
    pub(super) claimed: bool,
    pub(super) call: Call,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dispatcher {
    Idle,
    /// Has read a job that needs a start, or the end of one.
    StoringStart {
        job: u8,
        seen: ItemVersion,
        then: u8,
        fresh: bool,
    },
    /// The start is stored; the request to ECS follows.
    RequestingTask {
        job: u8,
        attempt: u8,
        number: u8,
    },
    /// ECS has returned the task's name.
    StoringTaskName {
        task: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sweeper {
    Idle,
    /// Has read a due job.
    Job {
        job: u8,
        seen: ItemVersion,
        ticket: ItemVersion,
        then: u8,
        fresh: bool,
    },
}

/// The function that receives ECS state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TaskStopHandler {
    Idle,
    /// Has read the job of a stopped task.
    Stopped {
        task: u8,
        seen: ItemVersion,
        then: u8,
        fresh: bool,
    },
}

/// A function that works on the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TicketWorker {
    Idle,
    /// The ticket function has read the facts of a move.
    DecidingMove {
        event: u8,
        ticket: ItemVersion,
        ledger: ItemVersion,
        then: u8,
        fresh: bool,
    },
    /// Effects have read a ticket to settle.
    Settling {
        ticket: ItemVersion,
        ledger: ItemVersion,
        then: u8,
        fresh: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) now: u8,
    /// The job of the first entry, and later that of the second.
    pub(super) jobs: [Option<ItemVersion>; MAX_JOBS],
    pub(super) ticket: ItemVersion,
    /// The answer to the second entry.
    pub(super) ledger: ItemVersion,
    pub(super) tasks: [Option<Task>; MAX_TASKS],
    pub(super) dispatchers: [Dispatcher; MAX_JOBS],
    pub(super) sweeper: Sweeper,
    pub(super) task_stops: TaskStopHandler,
    /// The ticket function, and effects.
    pub(super) ticket_workers: [TicketWorker; 2],
    /// Remaining deliveries of each move.
    pub(super) deliveries: [u8; MOVES],
    pub(super) faults: u8,
    pub(super) deaths: u8,
}

impl State {
    pub(super) fn new(setting: &Setting, rules: &mut Rules) -> Self {
        let (job, ticket) = rules.first_job();
        Self {
            now: 0,
            jobs: [Some(job), None],
            ticket,
            ledger: rules.empty_ledger(),
            tasks: [None; MAX_TASKS],
            dispatchers: [Dispatcher::Idle; MAX_JOBS],
            sweeper: Sweeper::Idle,
            task_stops: TaskStopHandler::Idle,
            ticket_workers: [TicketWorker::Idle; 2],
            deliveries: [setting.deliveries; MOVES],
            faults: setting.faults,
            deaths: setting.deaths,
        }
    }

    /// Marks every earlier read of this job as stale.
    pub(super) fn mark_job_reads_stale(&mut self, written: u8) {
        for task in self.tasks.iter_mut().flatten().filter(|task| task.job == written) {
            match &mut task.call {
                Call::Claim { fresh, .. } | Call::Finish { fresh, .. } => *fresh = false,
                Call::None => {}
            }
        }
        for dispatcher in &mut self.dispatchers {
            if let Dispatcher::StoringStart { job, fresh, .. } = dispatcher
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
        if let TaskStopHandler::Stopped { task, fresh, .. } = &mut self.task_stops
            && self.tasks[usize::from(*task)].is_some_and(|task| task.job == written)
        {
            *fresh = false;
        }
    }

    /// Marks every earlier read of the ticket as stale.
    pub(super) fn mark_ticket_reads_stale(&mut self) {
        for task in self.tasks.iter_mut().flatten() {
            if let Call::Finish { fresh, .. } = &mut task.call {
                *fresh = false;
            }
        }
        if let Sweeper::Job { fresh, .. } = &mut self.sweeper {
            *fresh = false;
        }
        for desk in &mut self.ticket_workers {
            match desk {
                TicketWorker::DecidingMove { fresh, .. } | TicketWorker::Settling { fresh, .. } => *fresh = false,
                TicketWorker::Idle => {}
            }
        }
    }

    /// Ends all functions: none lives for hours, so their pending writes are lost.
    pub(super) fn end_functions(mut self) -> Self {
        for task in self.tasks.iter_mut().flatten() {
            task.call = Call::None;
        }
        self.dispatchers = [Dispatcher::Idle; MAX_JOBS];
        self.sweeper = Sweeper::Idle;
        self.task_stops = TaskStopHandler::Idle;
        self.ticket_workers = [TicketWorker::Idle; 2];
        self
    }
}
