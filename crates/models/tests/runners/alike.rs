//! Swaps the names of two tickets or two runners, and explores only the smallest of the swapped states.
//!
//! `tests.rs` verifies that a swap changes neither the next steps nor the invariants, for every state of small
//! settings.

use super::Setting;
use super::rules::{Change, Value};
use super::state::{Beat, Call, Late, MOST, Read, State, Sweeper, Wishing, Work};
use super::world::World;

/// The kinds of names that are swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Swap {
    pub(super) jobs: bool,
    pub(super) runners: bool,
}

impl Swap {
    /// Every swap that this setting allows.
    pub(super) fn all(setting: &Setting) -> impl Iterator<Item = Self> + use<> {
        let (jobs, runners) = (setting.jobs == MOST, setting.runners == MOST);
        let all = [(true, false), (false, true), (true, true)].map(|(jobs, runners)| Self { jobs, runners });
        all.into_iter().filter(move |swap| (jobs || !swap.jobs) && (runners || !swap.runners))
    }

    /// Its index for `Items::renamed`.
    pub(super) fn number(self) -> usize {
        match (self.jobs, self.runners) {
            (true, false) => 0,
            (false, true) => 1,
            _ => 2,
        }
    }

    fn job(self, job: u8) -> u8 {
        if self.jobs { 1 - job } else { job }
    }

    fn runner(self, runner: u8) -> u8 {
        if self.runners { 1 - runner } else { runner }
    }

    fn of_jobs<T>(self, [one, other]: [T; MOST]) -> [T; MOST] {
        if self.jobs { [other, one] } else { [one, other] }
    }

    fn of_runners<T>(self, [one, other]: [T; MOST]) -> [T; MOST] {
        if self.runners { [other, one] } else { [one, other] }
    }
}

impl World {
    /// The state with these names swapped.
    pub(super) fn renamed(&mut self, state: &State, swap: Swap) -> State {
        State {
            jobs: swap.of_jobs(state.jobs.map(|job| self.job_as(job, swap))),
            before: swap.of_jobs(state.before.map(|job| self.job_as(job, swap))),
            tickets: swap.of_jobs(state.tickets.map(|ticket| self.ticket_as(ticket, swap))),
            runners: swap.of_runners(state.runners.map(|runner| self.runner_as(runner, swap))),
            work: swap.of_runners(state.work.map(|work| work.map(|work| Work { job: swap.job(work.job), ..work }))),
            claims: swap.of_runners(state.claims),
            calls: swap.of_runners(state.calls.map(|call| self.call_as(call, swap))),
            late: state.late.map(|late| self.late_as(late, swap)),
            beats: swap.of_runners(state.beats.map(|beat| beat.map(|beat| self.beat_as(beat, swap)))),
            sweepers: state.sweepers.map(|sweeper| self.sweeper_as(sweeper, swap)),
            wishing: state.wishing.map(|wishing| self.wishing_as(wishing, swap)),
            heard: swap.of_runners(state.heard),
            got: swap.of_runners(state.got),
            pushed: swap.of_jobs(state.pushed),
            wants_pause: swap.of_jobs(state.wants_pause),
            said: swap.of_jobs(state.said),
            ..*state
        }
    }

    fn job_as(&mut self, job: Value, swap: Swap) -> Value {
        self.rules.renamed_job(job, swap)
    }

    fn ticket_as(&mut self, ticket: Value, swap: Swap) -> Value {
        self.rules.renamed_ticket(ticket, swap)
    }

    fn runner_as(&mut self, runner: Value, swap: Swap) -> Value {
        self.rules.renamed_runner(runner, swap)
    }

    fn call_as(&mut self, call: Call, swap: Swap) -> Call {
        match call {
            Call::None => Call::None,
            Call::Claim { job, seen, then, fresh } => {
                Call::Claim { job: swap.job(job), seen: self.job_as(seen, swap), then, fresh }
            }
            Call::Progress { seen, then, fresh } => Call::Progress { seen: self.job_as(seen, swap), then, fresh },
            Call::Finish { seen, ticket, then, fresh } => {
                Call::Finish { seen: self.job_as(seen, swap), ticket: self.ticket_as(ticket, swap), then, fresh }
            }
            Call::Yield { seen, ticket, then, fresh } => {
                Call::Yield { seen: self.job_as(seen, swap), ticket: self.ticket_as(ticket, swap), then, fresh }
            }
        }
    }

    fn change_as(&mut self, change: Change, swap: Swap) -> Change {
        match change {
            Change::Claim { runner, claim } => Change::Claim { runner: swap.runner(runner), claim },
            Change::Progress { runner, claim, attempt, to, told } => {
                Change::Progress { runner: swap.runner(runner), claim, attempt, to, told }
            }
            Change::Finish { runner, claim, attempt, completed } => {
                Change::Finish { runner: swap.runner(runner), claim, attempt, completed }
            }
            Change::Yield { runner, claim, attempt, asks, read } => {
                Change::Yield { runner: swap.runner(runner), claim, attempt, asks, read }
            }
            Change::Lose { runner, seen, loss } => {
                Change::Lose { runner: swap.runner(runner), seen: self.runner_as(seen, swap), loss }
            }
            Change::Due | Change::Person(_) => change,
        }
    }

    fn late_as(&mut self, late: Late, swap: Swap) -> Late {
        match late {
            Late::Sent { change, job } => {
                Late::Sent { change: self.change_as(change, swap), job: job.map(|job| swap.job(job)) }
            }
            Late::Read { change, read: Read { job, seen, ticket, then, fresh } } => {
                let (seen, ticket) = (self.job_as(seen, swap), self.ticket_as(ticket, swap));
                let read = Read { job: swap.job(job), seen, ticket, then, fresh };
                Late::Read { change: self.change_as(change, swap), read }
            }
        }
    }

    fn beat_as(&mut self, beat: Beat, swap: Swap) -> Beat {
        Beat { seen: self.runner_as(beat.seen, swap), runs: beat.runs.map(|job| swap.job(job)), ..beat }
    }

    fn sweeper_as(&mut self, sweeper: Sweeper, swap: Swap) -> Sweeper {
        match sweeper {
            Sweeper::Idle => Sweeper::Idle,
            Sweeper::Judges { runner, seen, then } => {
                Sweeper::Judges { runner: swap.runner(runner), seen: self.runner_as(seen, swap), then }
            }
            Sweeper::Takes { runner, seen, loss, job, value, ticket, then, fresh } => Sweeper::Takes {
                runner: swap.runner(runner),
                seen: self.runner_as(seen, swap),
                loss,
                job: swap.job(job),
                value: self.job_as(value, swap),
                ticket: self.ticket_as(ticket, swap),
                then,
                fresh,
            },
            Sweeper::Empties { runner, seen, job } => {
                Sweeper::Empties { runner: swap.runner(runner), seen: self.runner_as(seen, swap), job: swap.job(job) }
            }
            Sweeper::Job { job, value, ticket, then, fresh } => {
                let (value, ticket) = (self.job_as(value, swap), self.ticket_as(ticket, swap));
                Sweeper::Job { job: swap.job(job), value, ticket, then, fresh }
            }
        }
    }

    fn wishing_as(&mut self, wishing: Wishing, swap: Swap) -> Wishing {
        Wishing {
            job: swap.job(wishing.job),
            value: self.job_as(wishing.value, swap),
            ticket: self.ticket_as(wishing.ticket, swap),
            ..wishing
        }
    }
}
