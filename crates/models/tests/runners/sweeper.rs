//! Models a sweeper: silent runners, their jobs, and due jobs.

use super::rules::{Change, ItemVersion, LossKind, Outcome, RunnerDecision};
use super::state::{State, Sweeper};
use super::table::{self, JobEnd};
use super::world::{NextStates, World, push_written, to_u8};
use crate::explore::Step;

impl World {
    pub(super) fn sweeper(&mut self, state: &State, at: usize, next: &mut NextStates) -> Result<(), String> {
        let mut advance = |action: &'static str, actor: usize, sweeper: Sweeper| {
            let mut after = *state;
            after.sweepers[at] = sweeper;
            next.push((Step::new(action, actor), after));
        };
        let then = state.now;
        match state.sweepers[at] {
            Sweeper::Idle => {
                for (runner, seen) in state.runners.iter().enumerate().take(self.setting.runners) {
                    if self.rules.decide_runner(*seen, then) != RunnerDecision::Nothing {
                        advance(
                            "sweeper reads runner",
                            runner,
                            Sweeper::DecidingRunner { runner: to_u8(runner), seen: *seen, then },
                        );
                    }
                }
                for job in 0..self.setting.jobs {
                    let (value, ticket) = (state.jobs[job], state.tickets[job]);
                    if matches!(self.rules.change(Change::SweepDueJob, value, then), Outcome::Changed(_)) {
                        let job8 = to_u8(job);
                        advance(
                            "sweeper reads job",
                            job,
                            Sweeper::HandlingDueJob { job: job8, value, ticket, then, fresh: true },
                        );
                    }
                }
                Ok(())
            }
            Sweeper::DecidingRunner { runner, seen, then: judged } => {
                let at_runner = usize::from(runner);
                match self.rules.decide_runner(seen, judged) {
                    RunnerDecision::Nothing => advance("sweeper leaves runner", at_runner, Sweeper::Idle),
                    RunnerDecision::TakeOffline(offline) => {
                        let write = table::take_offline(state, at_runner, seen, offline, &mut self.rules);
                        let name = Step::new("sweeper takes offline runner", at_runner);
                        let name = if write.is_some() { name } else { name.with_suffix(": stale") };
                        let mut moved = write.unwrap_or(*state);
                        moved.sweepers[at] = Sweeper::Idle;
                        next.push((name, moved));
                    }
                    RunnerDecision::Lose(loss, jobs) => {
                        let mut found_any = false;
                        for job in (0..self.setting.jobs).filter(|job| jobs[*job]) {
                            let (value, ticket) = (state.jobs[job], state.tickets[job]);
                            let change = Change::LoseRunner { runner, seen, loss };
                            let held = self.rules.holds_claim(value, seen);
                            if !held {
                                found_any = true;
                                advance(
                                    "sweeper reads a job that is not held",
                                    job,
                                    Sweeper::DroppingSlot { runner, seen, job: to_u8(job) },
                                );
                            } else if matches!(self.rules.change(change, value, then), Outcome::Changed(_)) {
                                found_any = true;
                                let job8 = to_u8(job);
                                let next_sweeper = Sweeper::EndingHeldJob {
                                    runner,
                                    seen,
                                    loss,
                                    job: job8,
                                    value,
                                    ticket,
                                    then,
                                    fresh: true,
                                };
                                advance("sweeper reads the held job", job, next_sweeper);
                            }
                        }
                        if !found_any {
                            advance("sweeper leaves runner", at_runner, Sweeper::Idle);
                        }
                    }
                }
                Ok(())
            }
            Sweeper::DroppingSlot { runner, seen, job } => {
                let emptied = table::drop_slot(state, usize::from(runner), seen, job, &mut self.rules);
                push_written(
                    Step::new("sweeper empties the slot of job", usize::from(job)),
                    state,
                    emptied,
                    next,
                    |state| {
                        state.sweepers[at] = Sweeper::Idle;
                    },
                );
                Ok(())
            }
            Sweeper::EndingHeldJob { runner, seen, loss, job, value, ticket, then, fresh } => {
                let change = Change::LoseRunner { runner, seen, loss };
                self.write_swept_job(state, at, job, (value, ticket, fresh), (change, then), Some((seen, loss)), next)
            }
            Sweeper::HandlingDueJob { job, value, ticket, then, fresh } => {
                self.write_swept_job(state, at, job, (value, ticket, fresh), (Change::SweepDueJob, then), None, next)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what was read, what was decided from it, and where it goes")]
    fn write_swept_job(
        &mut self,
        state: &State,
        at: usize,
        job: u8,
        (value, ticket, fresh): (ItemVersion, ItemVersion, bool),
        (change, then): (Change, u8),
        proof: Option<(ItemVersion, LossKind)>,
        next: &mut NextStates,
    ) -> Result<(), String> {
        let Outcome::Changed(after) = self.rules.change(change, value, then) else {
            return Err("a job was swept otherwise".into());
        };
        let ending = JobEnd { job, before: value, after, ticket, fresh, proof };
        let write = table::end(state, ending, &mut self.rules, &self.setting)?;
        push_written(Step::new("sweeper ends or puts back job", usize::from(job)), state, write, next, |state| {
            state.sweepers[at] = Sweeper::Idle;
        });
        Ok(())
    }
}
