//! Models a sweeper: silent runners, their jobs, and due jobs.

use super::rules::{Change, Judged, Lost, Outcome, Value};
use super::state::{State, Sweeper};
use super::table::{self, Ending};
use super::world::{Next, World, push_written, small};
use crate::explore::Step;

impl World {
    pub(super) fn sweeper(&mut self, state: &State, at: usize, next: &mut Next) -> Result<(), String> {
        let mut goes = |what: &'static str, who: usize, sweeper: Sweeper| {
            let mut moved = *state;
            moved.sweepers[at] = sweeper;
            next.push((Step::of(what, who), moved));
        };
        let then = state.now;
        match state.sweepers[at] {
            Sweeper::Idle => {
                for (runner, seen) in state.runners.iter().enumerate().take(self.setting.runners) {
                    if self.rules.judge(*seen, then) != Judged::Nothing {
                        goes(
                            "sweeper reads runner",
                            runner,
                            Sweeper::Judges { runner: small(runner), seen: *seen, then },
                        );
                    }
                }
                for job in 0..self.setting.jobs {
                    let (value, ticket) = (state.jobs[job], state.tickets[job]);
                    if matches!(self.rules.change(Change::Due, value, then), Outcome::Becomes(_)) {
                        let job8 = small(job);
                        goes("sweeper reads job", job, Sweeper::Job { job: job8, value, ticket, then, fresh: true });
                    }
                }
                Ok(())
            }
            Sweeper::Judges { runner, seen, then: judged } => {
                let at_runner = usize::from(runner);
                match self.rules.judge(seen, judged) {
                    Judged::Nothing => goes("sweeper leaves runner", at_runner, Sweeper::Idle),
                    Judged::TakeOffline(offline) => {
                        let written = table::take_offline(state, at_runner, seen, offline, &mut self.rules);
                        let name = Step::of("sweeper takes offline runner", at_runner);
                        let name = if written.is_some() { name } else { name.but(": stale") };
                        let mut moved = written.unwrap_or(*state);
                        moved.sweepers[at] = Sweeper::Idle;
                        next.push((name, moved));
                    }
                    Judged::Lose(loss, jobs) => {
                        let mut some = false;
                        for job in (0..self.setting.jobs).filter(|job| jobs[*job]) {
                            let (value, ticket) = (state.jobs[job], state.tickets[job]);
                            let change = Change::Lose { runner, seen, loss };
                            let held = self.rules.holds(value, seen);
                            if !held {
                                some = true;
                                goes(
                                    "sweeper reads a job that is not held",
                                    job,
                                    Sweeper::Empties { runner, seen, job: small(job) },
                                );
                            } else if matches!(self.rules.change(change, value, then), Outcome::Becomes(_)) {
                                some = true;
                                let job8 = small(job);
                                let takes =
                                    Sweeper::Takes { runner, seen, loss, job: job8, value, ticket, then, fresh: true };
                                goes("sweeper reads the held job", job, takes);
                            }
                        }
                        if !some {
                            goes("sweeper leaves runner", at_runner, Sweeper::Idle);
                        }
                    }
                }
                Ok(())
            }
            Sweeper::Empties { runner, seen, job } => {
                let emptied = table::drop_slot(state, usize::from(runner), seen, job, &mut self.rules);
                push_written(
                    Step::of("sweeper empties the slot of job", usize::from(job)),
                    state,
                    emptied,
                    next,
                    |state| {
                        state.sweepers[at] = Sweeper::Idle;
                    },
                );
                Ok(())
            }
            Sweeper::Takes { runner, seen, loss, job, value, ticket, then, fresh } => {
                let change = Change::Lose { runner, seen, loss };
                self.sweeps(state, at, job, (value, ticket, fresh), (change, then), Some((seen, loss)), next)
            }
            Sweeper::Job { job, value, ticket, then, fresh } => {
                self.sweeps(state, at, job, (value, ticket, fresh), (Change::Due, then), None, next)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what was read, what was decided from it, and where it goes")]
    fn sweeps(
        &mut self,
        state: &State,
        at: usize,
        job: u8,
        (value, ticket, fresh): (Value, Value, bool),
        (change, then): (Change, u8),
        proof: Option<(Value, Lost)>,
        next: &mut Next,
    ) -> Result<(), String> {
        let Outcome::Becomes(after) = self.rules.change(change, value, then) else {
            return Err("a job was swept otherwise".into());
        };
        let ending = Ending { job, before: value, after, ticket, fresh, proof };
        let written = table::end(state, ending, &mut self.rules, &self.setting)?;
        push_written(Step::of("sweeper ends or puts back job", usize::from(job)), state, written, next, |state| {
            state.sweepers[at] = Sweeper::Idle;
        });
        Ok(())
    }
}
