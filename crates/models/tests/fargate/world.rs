//! The possible next steps of a state, and its invariants.

use super::Setting;
use super::rules::Rules;
use super::state::{Dispatcher, MAX_JOBS, State, Sweeper, TicketWorker};
use crate::explore::{self, Step};

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

    /// Time passes. Hours and days pass only after a complete round of the sweeper and of the functions that it wakes.
    fn time_passes(&mut self, state: &State, next: &mut NextStates) {
        if state.now >= self.setting.moments.last()
            || state.now >= self.setting.moments.first_without_starts() && !self.is_quiescent(state)
        {
            return;
        }
        let mut later = *state;
        later.now += 1;
        if later.now >= self.setting.moments.first_without_starts() {
            later = later.end_functions();
        }
        next.push((Step::new("time passes to", usize::from(later.now)), later));
    }

    /// Only tasks, which may be dead, have something left to do.
    fn is_quiescent(&mut self, state: &State) -> bool {
        let mut jobs = state.jobs.into_iter().flatten();
        let jobs = jobs.any(|job| self.is_due(job, state.now) || self.rules.needs_dispatch(job, state.now));
        let settles = self.rules.settle_cached(state.ticket, state.ledger, state.now).is_some();
        let idle = state.sweeper == Sweeper::Idle
            && state.dispatchers == [Dispatcher::Idle; MAX_JOBS]
            && state.ticket_workers.iter().all(|desk| *desk == TicketWorker::Idle);
        !jobs && !settles && idle
    }

    fn check_jobs(&self, state: &State) -> Result<(), String> {
        let ticket = self.rules.ticket(state.ticket);
        for (at, value) in state.jobs.iter().enumerate() {
            let Some(value) = *value else { continue };
            let job = self.rules.job(value);
            let named = ticket.active_job.as_ref() == Some(&job.id);
            if named == job.status.is_terminal() {
                return Err(format!("job {at} is {}, and its ticket names it: {named}", job.status.label()));
            }
            if !self.rules.has_index_row(value) {
                return Err(format!("job {at} has no row"));
            }
            if !job.status.is_active() {
                continue;
            }
            let holder = (0..state.tasks.len()).find(|task| self.rules.is_claimed_by(value, to_u8(*task)));
            let Some((name, holder)) = holder.and_then(|name| Some((name, state.tasks[name]?))) else {
                return Err(format!("job {at} is held by nobody"));
            };
            if usize::from(holder.job) != at || u32::from(holder.attempt) != job.attempt {
                return Err(format!(
                    "attempt {} of job {at} is held by task {name}, which was started for another",
                    job.attempt
                ));
            }
            if holder.death_recorded && job.run.as_ref().is_some_and(|run| run.died.is_none()) {
                return Err(format!("job {at} is held by task {name}, whose death was noted before"));
            }
        }
        Ok(())
    }
}

impl explore::World for World {
    type State = State;

    fn start(&mut self) -> State {
        State::new(&self.setting, &mut self.rules)
    }

    fn check_invariants(&mut self, state: &State) -> Result<(), String> {
        self.check_jobs(state)?;
        if !self.rules.ticket_has_index_row(state.ticket) {
            return Err("the ticket has no row".into());
        }
        if state.now < self.setting.moments.last() || !self.is_quiescent(state) {
            return Ok(());
        }
        for (at, value) in state.jobs.iter().enumerate() {
            let job = value.map(|value| self.rules.job(value));
            if let Some(job) = job.filter(|job| !job.status.is_terminal()) {
                return Err(format!("job {at} is left hanging: {}", job.status.label()));
            }
        }
        if self.rules.has_unanswered_entry(state.ticket) {
            return Err("an entry is left without an answer".into());
        }
        Ok(())
    }

    fn next(&mut self, state: &State) -> Result<NextStates, String> {
        let mut next = Vec::new();
        for at in 0..self.setting.dispatchers {
            // Dispatchers are interchangeable: the second starts only while the first is busy.
            if at == 0 || state.dispatchers[at] != Dispatcher::Idle || state.dispatchers[at - 1] != Dispatcher::Idle {
                self.dispatcher(state, at, &mut next)?;
            }
        }
        // Tasks work for hours, not for days.
        let tasks = if state.now <= self.setting.moments.first_without_starts() { self.setting.tasks } else { 0 };
        for at in 0..tasks {
            self.task(state, at, &mut next)?;
        }
        self.task_stop_handler(state, &mut next)?;
        self.sweeper(state, &mut next)?;
        self.tickets(state, &mut next);
        self.effects(state, &mut next)?;
        self.time_passes(state, &mut next);
        Ok(next)
    }
}
