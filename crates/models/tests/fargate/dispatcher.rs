//! Models the dispatcher: it stores a start, requests a task from ECS, and stores the task's name.

use super::rules::{Change, ItemVersion, Outcome};
use super::state::{Call, Dispatcher, State, Task};
use super::table;
use super::world::{NextStates, World, to_u8};
use crate::explore::Step;

impl World {
    pub(super) fn dispatcher(&mut self, state: &State, at: usize, next: &mut NextStates) -> Result<(), String> {
        match state.dispatchers[at] {
            Dispatcher::Idle => {
                for job in 0..state.jobs.len() {
                    self.wake_dispatcher(state, at, job, next);
                }
            }
            Dispatcher::StoringStart { job, seen, then, fresh } => {
                let Outcome::Changed(after) = self.rules.change(Change::Dispatch, seen, self.rules.skewed_time(then))
                else {
                    return Err("a start was decided otherwise".into());
                };
                let mut written = table::update_job(state, job, after, fresh);
                if let Some(written) = &mut written {
                    written.dispatchers[at] = self.next_dispatcher_step(after, job);
                }
                let step = Step::new("dispatcher writes job", usize::from(job));
                let step = if written.is_some() { step } else { step.with_suffix(": stale") };
                let idle = || {
                    let mut idle = *state;
                    idle.dispatchers[at] = Dispatcher::Idle;
                    idle
                };
                next.push((step, written.unwrap_or_else(idle)));
            }
            Dispatcher::RequestingTask { job, attempt, number } => {
                self.request_task(state, at, (job, attempt, number), next)
            }
            Dispatcher::StoringTaskName { task } => {
                let mut named = *state;
                named.dispatchers[at] = Dispatcher::Idle;
                next.push((Step::new("the name gets lost of task", usize::from(task)), named));
                if let Some(of) = state.tasks[usize::from(task)] {
                    let change = Change::NameTask { attempt: of.attempt, number: of.number, task };
                    self.retry_until_written(&mut named, of.job, change, state.now);
                    next.push((Step::new("is named: task", usize::from(task)), named));
                }
            }
        }
        Ok(())
    }

    /// A wake-up of a job arrives, for any reason.
    fn wake_dispatcher(&mut self, state: &State, at: usize, job: usize, next: &mut NextStates) {
        // Hours later only messages of the sweeper remain.
        let sends = |seen: &ItemVersion| {
            state.now < self.setting.moments.first_without_starts() || self.rules.needs_dispatch(*seen, state.now)
        };
        let Some(seen) = state.jobs[job].filter(sends) else { return };
        let mut woken = *state;
        woken.dispatchers[at] = match self.rules.change(Change::Dispatch, seen, self.rules.skewed_time(state.now)) {
            Outcome::Changed(_) => Dispatcher::StoringStart { job: to_u8(job), seen, then: state.now, fresh: true },
            Outcome::AlreadyDone => self.next_dispatcher_step(seen, to_u8(job)),
            Outcome::NoChange => return,
        };
        next.push((Step::new("dispatcher reads job", job), woken));
    }

    /// The dispatcher's next step after storing this job.
    fn next_dispatcher_step(&self, stored: ItemVersion, job: u8) -> Dispatcher {
        let stored = self.rules.job(stored);
        if !stored.dispatch.starting {
            return Dispatcher::Idle;
        }
        let as_small = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        Dispatcher::RequestingTask {
            job,
            attempt: as_small(stored.attempt + 1),
            number: as_small(stored.dispatch.number),
        }
    }

    /// ECS finds the task of this start, creates it, or has no capacity; the function may die before or after.
    fn request_task(&mut self, state: &State, at: usize, (job, attempt, number): (u8, u8, u8), next: &mut NextStates) {
        let does = |what| Step::new(what, usize::from(job));
        let mut asked = *state;
        asked.dispatchers[at] = Dispatcher::Idle;
        let is_it = |task: &Task| (task.job, task.attempt, task.number) == (job, attempt, number);
        let known = state.tasks.iter().position(|task| task.as_ref().is_some_and(is_it));
        let free = state.tasks.iter().take(self.setting.tasks).position(Option::is_none);
        let has_capacity = state.now < self.setting.moments.first_without_starts();
        let task = match (known, free.filter(|_| has_capacity)) {
            (Some(known), _) => Some(known),
            (None, Some(free)) => {
                let (alive, noted, claimed, call) = (true, false, false, Call::None);
                asked.tasks[free] = Some(Task { job, attempt, number, alive, death_recorded: noted, claimed, call });
                Some(free)
            }
            (None, None) => None,
        };
        if let Some(task) = task {
            let mut answered = asked;
            answered.dispatchers[at] = Dispatcher::StoringTaskName { task: to_u8(task) };
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
            self.retry_until_written(&mut put_off, job, Change::NoCapacity { attempt, number }, state.now);
            next.push((does("finds no capacity: job"), put_off));
        }
    }

    /// Reads, decides and writes in one step: the result of retries until the write succeeds or is obsolete.
    fn retry_until_written(&mut self, state: &mut State, job: u8, change: Change, moment: u8) {
        let Some(stored) = state.jobs[usize::from(job)] else { return };
        if let Outcome::Changed(after) = self.rules.change(change, stored, self.rules.skewed_time(moment)) {
            state.jobs[usize::from(job)] = Some(after);
            state.mark_job_reads_stale(job);
        }
    }
}
