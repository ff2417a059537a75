//! Models the repair of stuck jobs: the function that receives state changes, and the sweeper.

use super::rules::{Change, ItemVersion, Outcome};
use super::state::{State, Sweeper, TaskStopHandler};
use super::table;
use super::world::{NextStates, World, to_u8};
use crate::explore::Step;

impl World {
    /// The stop of a task is reported never, once or repeatedly.
    pub(super) fn task_stop_handler(&mut self, state: &State, next: &mut NextStates) -> Result<(), String> {
        match state.task_stops {
            TaskStopHandler::Idle => {
                for (at, task) in state.tasks.iter().enumerate() {
                    let Some(task) = task.filter(|task| !task.alive) else { continue };
                    let Some(seen) = state.jobs[usize::from(task.job)] else { continue };
                    let change = Change::TaskStopped { task: to_u8(at) };
                    if matches!(self.rules.change(change, seen, self.rules.skewed_time(state.now)), Outcome::Changed(_))
                    {
                        let mut told = *state;
                        told.task_stops =
                            TaskStopHandler::Stopped { task: to_u8(at), seen, then: state.now, fresh: true };
                        next.push((Step::new("is told: the stop of task", at), told));
                    }
                }
            }
            TaskStopHandler::Stopped { task, seen, then, fresh } => {
                let at = usize::from(task);
                let Some(of) = state.tasks[at] else { return Err("a task that is none stopped".into()) };
                let change = Change::TaskStopped { task };
                let Outcome::Changed(after) = self.rules.change(change, seen, self.rules.skewed_time(then)) else {
                    return Err("a stop was decided otherwise".into());
                };
                let written = table::update_job(state, of.job, after, fresh);
                let step = Step::new("is noted: the stop of task", at);
                let step = if written.is_some() { step } else { step.with_suffix(": stale") };
                let mut noted = written.unwrap_or(*state);
                noted.task_stops = TaskStopHandler::Idle;
                if written.is_some()
                    && let Some(task) = noted.tasks[at].as_mut()
                {
                    task.death_recorded = true;
                }
                next.push((step, noted));
            }
        }
        Ok(())
    }

    pub(super) fn sweeper(&mut self, state: &State, next: &mut NextStates) -> Result<(), String> {
        match state.sweeper {
            Sweeper::Idle => {
                for (at, seen) in state.jobs.iter().enumerate() {
                    let Some(seen) = seen.filter(|seen| self.is_due(*seen, state.now)) else { continue };
                    let mut swept = *state;
                    let (job, ticket, then) = (to_u8(at), state.ticket, state.now);
                    swept.sweeper = Sweeper::Job { job, seen, ticket, then, fresh: true };
                    next.push((Step::new("sweeper reads job", at), swept));
                }
            }
            Sweeper::Job { job, seen, ticket, then, fresh } => {
                let Outcome::Changed(after) =
                    self.rules.change(Change::SweepDueJob, seen, self.rules.skewed_time(then))
                else {
                    return Err("a job was swept otherwise".into());
                };
                let written = table::end(state, job, (after, ticket), fresh, &mut self.rules);
                let step = Step::new("sweeper ends or puts back job", usize::from(job));
                let step = if written.is_some() { step } else { step.with_suffix(": stale") };
                let mut swept = written.unwrap_or(*state);
                swept.sweeper = Sweeper::Idle;
                next.push((step, swept));
            }
        }
        Ok(())
    }

    /// Whether the sweeper would end or requeue this job.
    pub(super) fn is_due(&mut self, job: ItemVersion, moment: u8) -> bool {
        matches!(self.rules.change(Change::SweepDueJob, job, self.rules.skewed_time(moment)), Outcome::Changed(_))
    }
}
