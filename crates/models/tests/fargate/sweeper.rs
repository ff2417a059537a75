//! Models the repair of stuck jobs: the function that receives state changes, and the sweeper.

use super::rules::{Change, Outcome, Value};
use super::state::{Hears, State, Sweeper};
use super::table;
use super::world::{Next, World, small};
use crate::explore::Step;

impl World {
    /// The stop of a task is reported never, once or repeatedly.
    pub(super) fn hears(&mut self, state: &State, next: &mut Next) -> Result<(), String> {
        match state.hears {
            Hears::Idle => {
                for (at, task) in state.tasks.iter().enumerate() {
                    let Some(task) = task.filter(|task| !task.alive) else { continue };
                    let Some(seen) = state.jobs[usize::from(task.job)] else { continue };
                    let change = Change::Stopped { task: small(at) };
                    if matches!(self.rules.change(change, seen, self.rules.elsewhere(state.now)), Outcome::Becomes(_)) {
                        let mut told = *state;
                        told.hears = Hears::Stopped { task: small(at), seen, then: state.now, fresh: true };
                        next.push((Step::of("is told: the stop of task", at), told));
                    }
                }
            }
            Hears::Stopped { task, seen, then, fresh } => {
                let at = usize::from(task);
                let Some(of) = state.tasks[at] else { return Err("a task that is none stopped".into()) };
                let change = Change::Stopped { task };
                let Outcome::Becomes(after) = self.rules.change(change, seen, self.rules.elsewhere(then)) else {
                    return Err("a stop was decided otherwise".into());
                };
                let written = table::update_job(state, of.job, after, fresh);
                let step = Step::of("is noted: the stop of task", at);
                let step = if written.is_some() { step } else { step.but(": stale") };
                let mut noted = written.unwrap_or(*state);
                noted.hears = Hears::Idle;
                if written.is_some()
                    && let Some(task) = noted.tasks[at].as_mut()
                {
                    task.noted = true;
                }
                next.push((step, noted));
            }
        }
        Ok(())
    }

    pub(super) fn sweeper(&mut self, state: &State, next: &mut Next) -> Result<(), String> {
        match state.sweeper {
            Sweeper::Idle => {
                for (at, seen) in state.jobs.iter().enumerate() {
                    let Some(seen) = seen.filter(|seen| self.is_due(*seen, state.now)) else { continue };
                    let mut swept = *state;
                    let (job, ticket, then) = (small(at), state.ticket, state.now);
                    swept.sweeper = Sweeper::Job { job, seen, ticket, then, fresh: true };
                    next.push((Step::of("sweeper reads job", at), swept));
                }
            }
            Sweeper::Job { job, seen, ticket, then, fresh } => {
                let Outcome::Becomes(after) = self.rules.change(Change::Due, seen, self.rules.elsewhere(then)) else {
                    return Err("a job was swept otherwise".into());
                };
                let written = table::end(state, job, (after, ticket), fresh, &mut self.rules);
                let step = Step::of("sweeper ends or puts back job", usize::from(job));
                let step = if written.is_some() { step } else { step.but(": stale") };
                let mut swept = written.unwrap_or(*state);
                swept.sweeper = Sweeper::Idle;
                next.push((step, swept));
            }
        }
        Ok(())
    }

    /// Whether the sweeper would end or requeue this job.
    pub(super) fn is_due(&mut self, job: Value, moment: u8) -> bool {
        matches!(self.rules.change(Change::Due, job, self.rules.elsewhere(moment)), Outcome::Becomes(_))
    }
}
