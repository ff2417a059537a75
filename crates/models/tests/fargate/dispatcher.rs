//! Models the dispatcher: it stores a start, requests a task from ECS, and stores the task's name.

use super::rules::{Change, Outcome, Value};
use super::state::{Call, Dispatcher, State, Task};
use super::table;
use super::world::{Next, World, small};
use crate::explore::Step;

impl World {
    pub(super) fn dispatcher(&mut self, state: &State, at: usize, next: &mut Next) -> Result<(), String> {
        match state.dispatchers[at] {
            Dispatcher::Idle => {
                for job in 0..state.jobs.len() {
                    self.is_woken(state, at, job, next);
                }
            }
            Dispatcher::Writes { job, seen, then, fresh } => {
                let Outcome::Becomes(after) = self.rules.change(Change::Begin, seen, self.rules.elsewhere(then)) else {
                    return Err("a start was decided otherwise".into());
                };
                let mut written = table::update_job(state, job, after, fresh);
                if let Some(written) = &mut written {
                    written.dispatchers[at] = self.asks(after, job);
                }
                let step = Step::of("dispatcher writes job", usize::from(job));
                let step = if written.is_some() { step } else { step.but(": stale") };
                let idle = || {
                    let mut idle = *state;
                    idle.dispatchers[at] = Dispatcher::Idle;
                    idle
                };
                next.push((step, written.unwrap_or_else(idle)));
            }
            Dispatcher::Asks { job, attempt, number } => self.asks_ecs(state, at, (job, attempt, number), next),
            Dispatcher::Names { task } => {
                let mut named = *state;
                named.dispatchers[at] = Dispatcher::Idle;
                next.push((Step::of("the name gets lost of task", usize::from(task)), named));
                if let Some(of) = state.tasks[usize::from(task)] {
                    let change = Change::Named { attempt: of.attempt, number: of.number, task };
                    self.reads_and_writes(&mut named, of.job, change, state.now);
                    next.push((Step::of("is named: task", usize::from(task)), named));
                }
            }
        }
        Ok(())
    }

    /// A wake-up of a job arrives, for any reason.
    fn is_woken(&mut self, state: &State, at: usize, job: usize, next: &mut Next) {
        // Hours later only messages of the sweeper remain.
        let sends =
            |seen: &Value| state.now < self.setting.moments.later() || self.rules.is_to_be_started(*seen, state.now);
        let Some(seen) = state.jobs[job].filter(sends) else { return };
        let mut woken = *state;
        woken.dispatchers[at] = match self.rules.change(Change::Begin, seen, self.rules.elsewhere(state.now)) {
            Outcome::Becomes(_) => Dispatcher::Writes { job: small(job), seen, then: state.now, fresh: true },
            Outcome::Already => self.asks(seen, small(job)),
            Outcome::Nothing => return,
        };
        next.push((Step::of("dispatcher reads job", job), woken));
    }

    /// The dispatcher's next step after storing this job.
    fn asks(&self, stored: Value, job: u8) -> Dispatcher {
        let stored = self.rules.job(stored);
        if !stored.dispatch.starting {
            return Dispatcher::Idle;
        }
        let as_small = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        Dispatcher::Asks { job, attempt: as_small(stored.attempt + 1), number: as_small(stored.dispatch.number) }
    }

    /// ECS finds the task of this start, creates it, or has no capacity; the function may die before or after.
    fn asks_ecs(&mut self, state: &State, at: usize, (job, attempt, number): (u8, u8, u8), next: &mut Next) {
        let does = |what| Step::of(what, usize::from(job));
        let mut asked = *state;
        asked.dispatchers[at] = Dispatcher::Idle;
        let is_it = |task: &Task| (task.job, task.attempt, task.number) == (job, attempt, number);
        let known = state.tasks.iter().position(|task| task.as_ref().is_some_and(is_it));
        let free = state.tasks.iter().take(self.setting.tasks).position(Option::is_none);
        let has_capacity = state.now < self.setting.moments.later();
        let task = match (known, free.filter(|_| has_capacity)) {
            (Some(known), _) => Some(known),
            (None, Some(free)) => {
                let (alive, noted, claimed, call) = (true, false, false, Call::None);
                asked.tasks[free] = Some(Task { job, attempt, number, alive, noted, claimed, call });
                Some(free)
            }
            (None, None) => None,
        };
        if let Some(task) = task {
            let mut answered = asked;
            answered.dispatchers[at] = Dispatcher::Names { task: small(task) };
            next.push((does("gets a task: job"), answered));
            if state.faults > 0 {
                asked.faults -= 1;
                next.push((does("gets a task that nobody hears of: job"), asked));
            }
        }
        if task.is_none() || known.is_none() && state.faults > 0 {
            let mut put_off = *state;
            put_off.dispatchers[at] = Dispatcher::Idle;
            put_off.faults -= u8::from(task.is_some());
            self.reads_and_writes(&mut put_off, job, Change::NoCapacity { attempt, number }, state.now);
            next.push((does("finds no capacity: job"), put_off));
        }
    }

    /// Reads, decides and writes in one step, which stands for retrying until the write succeeds or is obsolete.
    fn reads_and_writes(&mut self, state: &mut State, job: u8, change: Change, moment: u8) {
        let Some(stored) = state.jobs[usize::from(job)] else { return };
        if let Outcome::Becomes(after) = self.rules.change(change, stored, self.rules.elsewhere(moment)) {
            state.jobs[usize::from(job)] = Some(after);
            state.wrote_job(job);
        }
    }
}
