//! The possible next steps of a state, and its invariants.

use super::Setting;
use super::rules::{Change, Judged, Outcome, Rules};
use super::state::{Call, MOST, State, Sweeper};
use crate::explore::{self, Step};
use pullyard_domain::job::{JobStatus, PushSearch};
use pullyard_domain::ticket::Badge;

pub(super) type Next = Vec<(Step, State)>;

pub(super) struct World {
    pub(super) setting: Setting,
    pub(super) rules: Rules,
}

pub(super) fn small(at: usize) -> u8 {
    u8::try_from(at).unwrap_or(u8::MAX)
}

impl World {
    pub(super) fn new(setting: Setting) -> Self {
        Self { setting, rules: Rules::new(setting) }
    }

    fn surroundings(&mut self, state: &State, next: &mut Next) {
        for at in 0..self.setting.jobs {
            if let Some(settled) = self.rules.settled(state.tickets[at]) {
                let mut shown = *state;
                shown.tickets[at] = settled;
                shown.written(at);
                next.push((Step::of("is settled: ticket", at), shown));
            }
        }
        // Hours and days pass only after a complete round of the sweeper.
        let later = self.setting.moments.later();
        if state.now < self.setting.moments.last() && (state.now < later || self.is_swept(state)) {
            let mut passed = State { now: state.now + 1, ..*state };
            if passed.now >= later {
                // No function lives for hours, so its pending write is lost.
                passed.calls = [Call::None; MOST];
                passed.late = None;
                passed.beats = [None; MOST];
                passed.sweepers = [Sweeper::Idle; MOST];
                passed.wishing = None;
            }
            next.push((Step::of("time passes to", usize::from(passed.now)), passed));
        }
    }

    fn stays_ended(&self, state: &State, after: &State) -> Result<(), String> {
        for at in 0..self.setting.jobs {
            let ended = state.jobs[at] != after.jobs[at] && self.rules.job(state.jobs[at]).status.is_terminal();
            if ended {
                return Err(format!("job {at} has ended, and changes"));
            }
        }
        Ok(())
    }

    /// Checks a suspended job against its runner, its ticket and the user's requests.
    fn rests(&self, state: &State, at: usize) -> Result<(), String> {
        let job = self.rules.job(state.jobs[at]);
        let stands = matches!(job.status, JobStatus::AwaitingInput | JobStatus::Paused);
        if stands && job.run.is_some() {
            return Err(format!("job {at} stands still and is held"));
        }
        let shows = self.rules.ticket(state.tickets[at]).wanted.badge == Some(Badge::AiWaiting);
        if shows != stands {
            return Err(format!("job {at} is {}, and its ticket says that it waits: {shows}", job.status.label()));
        }
        match job.status {
            JobStatus::Paused if !state.wants_pause[at] => Err(format!("job {at} is paused, and nobody wants that")),
            JobStatus::Ready if state.wants_pause[at] => Err(format!("job {at} goes on, and was to be paused")),
            _ if job.inputs != state.said[at].count_ones() => {
                Err(format!("job {at} counts {} inputs of {}", job.inputs, state.said[at].count_ones()))
            }
            _ => Ok(()),
        }
    }

    /// Only runners, which may be dead, have something left to do.
    fn is_swept(&mut self, state: &State) -> bool {
        let now = state.now;
        let due = (0..self.setting.jobs).any(|at| {
            self.rules.settled(state.tickets[at]).is_some()
                || matches!(self.rules.change(Change::Due, state.jobs[at], now), Outcome::Becomes(_))
        });
        let judged = (0..self.setting.runners).any(|at| self.rules.judge(state.runners[at], now) != Judged::Nothing);
        !due && !judged && state.wishing.is_none() && state.sweepers == [Sweeper::Idle; MOST]
    }
}

impl explore::World for World {
    type State = State;

    fn start(&mut self) -> State {
        State::new(&self.setting, &mut self.rules)
    }

    fn wrong(&mut self, state: &State) -> Result<(), String> {
        for at in 0..self.setting.jobs {
            let (value, ticket) = (state.jobs[at], state.tickets[at]);
            let job = self.rules.job(value);
            let named = self.rules.ticket(ticket).active_job.as_ref() == Some(&job.id);
            if named == job.status.is_terminal() {
                return Err(format!("job {at} is {}, and its ticket names it: {named}", job.status.label()));
            }
            if !self.rules.has_its_row(value, ticket) {
                return Err(format!("job {at} or its ticket has no row"));
            }
            self.rests(state, at)?;
            if job.status == JobStatus::Failed && state.pushed[at] != 0 && !job.lost_a_push {
                return Err(format!("what was pushed for job {at} is looked for by nobody"));
            }
            let is_nowhere = matches!(job.looked, Some(PushSearch::FoundNothing {}));
            // With differing clocks, a push may follow this report.
            if is_nowhere && state.pushed[at] != 0 && self.setting.ahead == 0 {
                return Err(format!("what was pushed for job {at} is said to be nowhere"));
            }
            for runner in 0..self.setting.runners {
                let stored = state.runners[runner];
                let has_slot = self.rules.runner(stored).slots.contains_key(&job.id);
                let is_held = self.rules.holds(value, stored);
                let ought = job.status.is_active() && self.rules.runner_of(value) == Some(runner);
                if has_slot != is_held || is_held != ought {
                    return Err(format!("the slot of job {at} on runner {runner}: {has_slot}, and it ought: {ought}"));
                }
            }
        }
        if state.now == self.setting.moments.last() && self.is_swept(state) {
            for at in 0..self.setting.jobs {
                let job = self.rules.job(state.jobs[at]);
                if !job.status.is_terminal() {
                    return Err(format!("job {at} is left hanging: {}", job.status.label()));
                }
            }
        }
        Ok(())
    }

    fn next(&mut self, state: &State) -> Result<Next, String> {
        let mut next = Vec::new();
        // Runners work for hours, not for days.
        let go_on =
            state.now < self.setting.moments.later() || self.setting.hours && state.now == self.setting.moments.later();
        for at in (0..self.setting.runners).filter(|_| go_on) {
            match state.calls[at] {
                Call::None => self.runner(state, at, &mut next)?,
                _ => self.call(state, at, &mut next)?,
            }
            self.dies(state, at, &mut next);
            self.heartbeat(state, at, &mut next);
        }
        self.late(state, &mut next)?;
        for at in 0..self.setting.sweepers {
            // Sweepers are interchangeable: the second starts only while the first is busy.
            if at == 0 || state.sweepers[at] != Sweeper::Idle || state.sweepers[at - 1] != Sweeper::Idle {
                self.sweeper(state, at, &mut next)?;
            }
        }
        self.person(state, &mut next)?;
        self.surroundings(state, &mut next);
        for (step, after) in &next {
            self.stays_ended(state, after).map_err(|wrong| format!("{wrong}\n{step}"))?;
        }
        Ok(next)
    }
}

/// Pushes the result of a write. The process starts over in both cases.
pub(super) fn push_written(
    name: Step,
    state: &State,
    written: Option<State>,
    next: &mut Next,
    done: impl Fn(&mut State),
) {
    let name = if written.is_some() { name } else { name.but(": stale") };
    let mut moved = written.unwrap_or(*state);
    done(&mut moved);
    next.push((name, moved));
}
