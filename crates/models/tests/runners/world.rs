//! The possible next steps of a state, and its invariants.

use super::Setting;
use super::rules::{Change, Outcome, Rules, RunnerDecision};
use super::state::{Call, MAX_OF_EACH, State, Sweeper};
use crate::explore::{self, Step};
use pullyard_domain::job::JobStatus;
use pullyard_domain::ticket::Badge;

pub(super) type NextStates = Vec<(Step, State)>;

pub(super) struct World {
    pub(super) setting: Setting,
    pub(super) rules: Rules,
}

pub(super) fn to_u8(at: usize) -> u8 {
    u8::try_from(at).unwrap_or(u8::MAX)
}

impl World {
    pub(super) fn new(setting: Setting) -> Self {
        Self { setting, rules: Rules::new(setting) }
    }

    fn environment(&mut self, state: &State, next: &mut NextStates) {
        for at in 0..self.setting.jobs {
            if let Some(settled) = self.rules.settle_cached(state.tickets[at]) {
                let mut after = *state;
                after.tickets[at] = settled;
                after.mark_reads_stale(at);
                next.push((Step::new("is settled: ticket", at), after));
            }
        }
        // Hours and days pass only after a complete round of the sweeper.
        let later = self.setting.moments.first_without_starts();
        if state.now < self.setting.moments.last() && (state.now < later || self.is_quiescent(state)) {
            let mut passed = State { now: state.now + 1, ..*state };
            if passed.now >= later {
                // No function lives for hours, so its pending write is lost.
                passed.calls = [Call::None; MAX_OF_EACH];
                passed.late_call = None;
                passed.heartbeats = [None; MAX_OF_EACH];
                passed.sweepers = [Sweeper::Idle; MAX_OF_EACH];
                passed.user_call = None;
            }
            next.push((Step::new("time passes to", usize::from(passed.now)), passed));
        }
    }

    fn check_final_states(&self, state: &State, after: &State) -> Result<(), String> {
        for at in 0..self.setting.jobs {
            let ended = state.jobs[at] != after.jobs[at] && self.rules.job(state.jobs[at]).status.is_terminal();
            if ended {
                return Err(format!("job {at} has ended, and changes"));
            }
        }
        Ok(())
    }

    fn check_suspension(&self, state: &State, at: usize) -> Result<(), String> {
        let job = self.rules.job(state.jobs[at]);
        let is_suspended = matches!(job.status, JobStatus::AwaitingInput | JobStatus::Paused);
        if is_suspended && job.run.is_some() {
            return Err(format!("job {at} stands still and is held"));
        }
        let shows = self.rules.ticket(state.tickets[at]).wanted.badge == Some(Badge::AiWaiting);
        if shows != is_suspended {
            return Err(format!("job {at} is {}, and its ticket says that it waits: {shows}", job.status.label()));
        }
        match job.status {
            JobStatus::Paused if !state.pause_wanted[at] => Err(format!("job {at} is paused, and nobody wants that")),
            JobStatus::Ready if state.pause_wanted[at] => Err(format!("job {at} goes on, and was to be paused")),
            _ if job.inputs != state.stored_inputs[at].count_ones() => {
                Err(format!("job {at} counts {} inputs of {}", job.inputs, state.stored_inputs[at].count_ones()))
            }
            _ => Ok(()),
        }
    }

    /// Only runners, which may be dead, have something left to do.
    fn is_quiescent(&mut self, state: &State) -> bool {
        let now = state.now;
        let due = (0..self.setting.jobs).any(|at| {
            self.rules.settle_cached(state.tickets[at]).is_some()
                || matches!(self.rules.change(Change::SweepDueJob, state.jobs[at], now), Outcome::Changed(_))
        });
        let judged = (0..self.setting.runners)
            .any(|at| self.rules.decide_runner(state.runners[at], now) != RunnerDecision::Nothing);
        !due && !judged && state.user_call.is_none() && state.sweepers == [Sweeper::Idle; MAX_OF_EACH]
    }
}

impl explore::World for World {
    type State = State;

    fn start(&mut self) -> State {
        State::new(&self.setting, &mut self.rules)
    }

    fn check_invariants(&mut self, state: &State) -> Result<(), String> {
        for at in 0..self.setting.jobs {
            let (value, ticket) = (state.jobs[at], state.tickets[at]);
            let job = self.rules.job(value);
            let named = self.rules.ticket(ticket).active_job.as_ref() == Some(&job.id);
            if named == job.status.is_terminal() {
                return Err(format!("job {at} is {}, and its ticket names it: {named}", job.status.label()));
            }
            if !self.rules.has_index_row(value, ticket) {
                return Err(format!("job {at} or its ticket has no row"));
            }
            self.check_suspension(state, at)?;
            if job.status == JobStatus::Failed && state.pushed[at] != 0 && !job.lost_a_push {
                return Err(format!("job {at} failed, and hides that it was pushed"));
            }
            for runner in 0..self.setting.runners {
                let stored = state.runners[runner];
                let has_slot = self.rules.runner(stored).slots.contains_key(&job.id);
                let is_held = self.rules.holds_claim(value, stored);
                let ought = job.status.is_active() && self.rules.runner_of(value) == Some(runner);
                if has_slot != is_held || is_held != ought {
                    return Err(format!("the slot of job {at} on runner {runner}: {has_slot}, and it ought: {ought}"));
                }
            }
        }
        if state.now == self.setting.moments.last() && self.is_quiescent(state) {
            for at in 0..self.setting.jobs {
                let job = self.rules.job(state.jobs[at]);
                if !job.status.is_terminal() {
                    return Err(format!("job {at} is left hanging: {}", job.status.label()));
                }
            }
        }
        Ok(())
    }

    fn next(&mut self, state: &State) -> Result<NextStates, String> {
        let mut next = Vec::new();
        // Runners work for hours, not for days.
        let go_on = state.now < self.setting.moments.first_without_starts()
            || self.setting.works_for_hours && state.now == self.setting.moments.first_without_starts();
        for at in (0..self.setting.runners).filter(|_| go_on) {
            match state.calls[at] {
                Call::None => self.runner(state, at, &mut next)?,
                _ => self.write_pending_call(state, at, &mut next)?,
            }
            self.kill_process(state, at, &mut next);
            self.heartbeat(state, at, &mut next);
        }
        self.late_call(state, &mut next)?;
        for at in 0..self.setting.sweepers {
            // Sweepers are interchangeable: the second starts only while the first is busy.
            if at == 0 || state.sweepers[at] != Sweeper::Idle || state.sweepers[at - 1] != Sweeper::Idle {
                self.sweeper(state, at, &mut next)?;
            }
        }
        self.user(state, &mut next)?;
        self.environment(state, &mut next);
        for (step, after) in &next {
            self.check_final_states(state, after).map_err(|wrong| format!("{wrong}\n{step}"))?;
        }
        Ok(next)
    }
}

/// Pushes the result of a write. The process starts over in both cases.
pub(super) fn push_written(
    name: Step,
    state: &State,
    written: Option<State>,
    next: &mut NextStates,
    done: impl Fn(&mut State),
) {
    let name = if written.is_some() { name } else { name.with_suffix(": stale") };
    let mut moved = written.unwrap_or(*state);
    done(&mut moved);
    next.push((name, moved));
}
