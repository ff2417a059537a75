//! What may happen next in a state, and what must never be so.

use super::rules::{Change, Judged, Lost, Outcome, Rules, To, Value, time};
use super::state::{Beat, Call, Cancelling, LATER, MOMENTS, MOST, Phase, State, Sweeper, Work};
use super::table::{self, Ending, Write};
use super::{Rule, Setting};
use crate::explore::{self, Step};
use crate::job::{PUSH_FOR, Status, Want};

type Next = Vec<(Step, State)>;

/// The rules and the setting, over which states are taken.
pub(super) struct World {
    setting: Setting,
    rules: Rules,
}

fn small(at: usize) -> u8 {
    u8::try_from(at).unwrap_or(u8::MAX)
}

impl World {
    pub(super) fn new(setting: Setting) -> Self {
        let keeps = |rule| setting.without != Some(rule);
        Self { setting, rules: Rules::new(setting.goes_back, keeps(Rule::Fence), keeps(Rule::PushUntil)) }
    }

    /// A runner with no call under way, before it makes one.
    fn runner(&mut self, state: &State, at: usize, next: &mut Next) -> Result<(), String> {
        let does = |what| Step::of(what, at);
        let Some(work) = state.work[at] else {
            self.claims(state, at, next);
            return Ok(());
        };
        let progress = |to| Change::Progress { runner: small(at), claim: state.claims[at], attempt: work.attempt, to };
        match work.phase {
            Phase::Claimed => self.asks(state, at, work, progress(To::Preparing), next),
            Phase::Preparing => self.asks(state, at, work, progress(To::Executing), next),
            Phase::Executing => self.asks(state, at, work, progress(To::Syncing), next),
            Phase::MayPush(moment) if time(state.now) < time(moment).plus(PUSH_FOR) => {
                let mut pushed = *state;
                let job = self.rules.job(state.jobs[usize::from(work.job)]);
                let holds = job.status == Status::Syncing
                    && job.attempt == u32::from(work.attempt)
                    && self.rules.claim_is(state.jobs[usize::from(work.job)], small(at), state.claims[at]);
                if !holds {
                    return Err(format!("runner {at} pushes job {}, which it does not hold", work.job));
                }
                pushed.pushed[usize::from(work.job)] |= 1 << work.attempt;
                pushed.work[at] = Some(Work { phase: Phase::Pushed, ..work });
                next.push((does("pushes: runner"), pushed));
            }
            Phase::MayPush(_) => {
                let mut stops = *state;
                stops.work[at] = Some(Work { phase: Phase::Stops, ..work });
                next.push((does("has no time left to push: runner"), stops));
            }
            Phase::Pushed | Phase::Stops => {
                let completed = work.phase == Phase::Pushed;
                let change =
                    Change::Finish { runner: small(at), claim: state.claims[at], attempt: work.attempt, completed };
                self.asks(state, at, work, change, next);
            }
        }
        Ok(())
    }

    /// A runner without work asks for some.
    fn claims(&mut self, state: &State, at: usize, next: &mut Next) {
        let (stored, claim) = (state.runners[at], state.claims[at]);
        let does = |what| Step::of(what, at);
        for (job, value) in state.jobs.iter().enumerate().take(self.setting.jobs) {
            if self.rules.claim_is(*value, small(at), claim) && self.rules.holds(*value, stored) {
                let attempt = u8::try_from(self.rules.job(*value).attempt).unwrap_or(u8::MAX);
                let mut again = *state;
                again.work[at] = Some(Work { job: small(job), attempt, phase: Phase::Claimed });
                next.push((does("repeats its claim, and has its job: runner"), again));
                return;
            }
        }
        if self.rules.last_claim_is(stored, small(at), claim) && self.setting.without != Some(Rule::LastClaim) {
            // Answered before: the next one is another.
            let mut other = *state;
            other.claims[at] += 1;
            next.push((does("hears that its claim is spent: runner"), other));
            return;
        }
        let may = match self.setting.without {
            Some(Rule::LastClaim) => self.rules.runner(stored).is_online(time(state.now)),
            _ => self.rules.may_claim(stored, small(at), claim, state.now),
        };
        if !may || state.now >= LATER {
            return;
        }
        for (job, seen) in state.jobs.iter().enumerate().take(self.setting.jobs) {
            let change = Change::Claim { runner: small(at), claim };
            if matches!(self.rules.change(change, *seen, state.now), Outcome::Becomes(_)) {
                let mut asked = *state;
                asked.calls[at] = Call::Claim { job: small(job), seen: *seen, then: state.now, fresh: true };
                next.push((does("is to get a job: runner"), asked));
            }
        }
    }

    /// A call whose function reads the job and decides.
    fn asks(&mut self, state: &State, at: usize, work: Work, change: Change, next: &mut Next) {
        let job = usize::from(work.job);
        let (seen, ticket, then) = (state.jobs[job], state.tickets[job], state.now);
        let mut asked = *state;
        let name = match self.rules.change(change, seen, then) {
            Outcome::Becomes(_) => {
                asked.calls[at] = match change {
                    Change::Finish { .. } => Call::Finish { seen, ticket, then, fresh: true },
                    _ => Call::Progress { seen, then, fresh: true },
                };
                "is read: the call of runner"
            }
            Outcome::Already if matches!(change, Change::Finish { .. }) => {
                drop_work(&mut asked, at);
                "is told that it has finished: runner"
            }
            Outcome::Already => {
                self.goes_on(&mut asked, at, work, then);
                "repeats its phase: runner"
            }
            Outcome::Unwanted => {
                asked.work[at] = Some(Work { phase: Phase::Stops, ..work });
                "is told to stop: runner"
            }
            Outcome::LeaseLost | Outcome::Nothing => {
                drop_work(&mut asked, at);
                "has lost its job: runner"
            }
        };
        next.push((Step::of(name, at), asked));
    }

    /// The answer to a phase: the next one, or the end of it.
    fn goes_on(&mut self, state: &mut State, at: usize, work: Work, then: u8) {
        let job = self.rules.job(state.jobs[usize::from(work.job)]);
        let phase = match work.phase {
            _ if job.want == Want::Cancel => Phase::Stops,
            Phase::Claimed => Phase::Preparing,
            Phase::Preparing => Phase::Executing,
            _ if self.setting.without == Some(Rule::PushFromAsking) => Phase::MayPush(state.now),
            // The answer says how long; it is nothing once that is over.
            _ if job.push_until.is_some_and(|until| until > time(then)) => Phase::MayPush(then),
            _ => Phase::Stops,
        };
        state.work[at] = Some(Work { phase, ..work });
    }

    /// The function of a call writes what it decided.
    fn call(&mut self, state: &State, at: usize, next: &mut Next) -> Result<(), String> {
        let (runner, claim) = (small(at), state.claims[at]);
        let (name, written, then) = match (state.calls[at], state.work[at]) {
            (Call::Claim { job, seen, then, fresh }, _) => {
                let Outcome::Becomes(after) = self.rules.change(Change::Claim { runner, claim }, seen, then) else {
                    return Err("a claim was decided otherwise".into());
                };
                let written = table::claim(state, at, job, after, fresh, &mut self.rules, &self.setting)?;
                let attempt = u8::try_from(self.rules.job(after).attempt).unwrap_or(u8::MAX);
                let work = Some(Work { job, attempt, phase: Phase::Claimed });
                ("gets a job: runner", written, work)
            }
            (Call::Progress { seen, then, fresh }, Some(work)) => {
                let to = match work.phase {
                    Phase::Claimed => To::Preparing,
                    Phase::Preparing => To::Executing,
                    _ => To::Syncing,
                };
                let change = Change::Progress { runner, claim, attempt: work.attempt, to };
                let Outcome::Becomes(after) = self.rules.change(change, seen, then) else {
                    return Err("a phase was decided otherwise".into());
                };
                let mut written = table::update_job(state, work.job, after, fresh, &self.setting);
                if let Some(written) = &mut written {
                    self.goes_on(written, at, work, then);
                }
                let after = written.and_then(|written| written.work[at]);
                if let Some(written) = &mut written {
                    written.work[at] = state.work[at];
                }
                ("goes on: runner", written, after)
            }
            (Call::Finish { seen, ticket, then, fresh }, Some(work)) => {
                let completed = work.phase == Phase::Pushed;
                let change = Change::Finish { runner, claim, attempt: work.attempt, completed };
                let Outcome::Becomes(after) = self.rules.change(change, seen, then) else {
                    return Err("a finish was decided otherwise".into());
                };
                let job = usize::from(work.job);
                let ending = Ending { job: work.job, before: seen, after, ticket, fresh, proof: None };
                let written = table::end(state, ending, &mut self.rules, &self.setting)?;
                let pushed = self.rules.job(after).attempt;
                if written.is_some() && completed && state.pushed[job] & 1 << pushed == 0 {
                    return Err(format!("attempt {pushed} of job {job} is completed and has not pushed"));
                }
                ("finishes: runner", written, None)
            }
            (Call::None, _) | (_, None) => return Ok(()),
        };
        let step = Step::of(name, at);
        let Some(mut written) = written else {
            let mut stale = *state;
            stale.calls[at] = Call::None;
            next.push((step.but(": stale"), stale));
            return Ok(());
        };
        written.calls[at] = Call::None;
        if written.faults > 0 {
            let lost = State { faults: written.faults - 1, ..written };
            next.push((step.but(": answer lost"), lost));
        }
        match then {
            Some(_) => written.work[at] = then,
            None => drop_work(&mut written, at),
        }
        next.push((step, written));
        Ok(())
    }

    fn heartbeat(&mut self, state: &State, at: usize, next: &mut Next) {
        let stored = state.runners[at];
        let does = |what| Step::of(what, at);
        match state.beats[at] {
            None => {
                let runs = state.work[at].map(|work| work.job);
                // One in each moment: no two have the same time.
                if self.rules.runner(stored).last_heartbeat < time(state.now) {
                    let mut told = *state;
                    told.beats[at] = Some(Beat { seen: stored, runs, then: state.now });
                    next.push((does("is read: the heartbeat of runner"), told));
                }
            }
            Some(Beat { seen, runs, then }) => {
                let mut told = *state;
                told.beats[at] = None;
                if self.rules.runner(stored).epoch != self.rules.runner(seen).epoch {
                    next.push((does("heartbeat: stale, runner"), told));
                    return;
                }
                told.runners[at] = self.rules.heard(seen, stored, runs, then);
                if then == state.now {
                    told.heard[at] = then;
                }
                next.push((does("is heard: runner"), told));
            }
        }
    }

    fn sweeper(&mut self, state: &State, at: usize, next: &mut Next) -> Result<(), String> {
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
                        let written =
                            table::take_offline(state, at_runner, seen, offline, &mut self.rules, &self.setting);
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
                            if held && matches!(self.rules.change(change, value, then), Outcome::Becomes(_)) {
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

    fn person(&mut self, state: &State, next: &mut Next) -> Result<(), String> {
        let Some(Cancelling { job, value, ticket, then, fresh }) = state.cancelling else {
            for job in (0..self.setting.jobs).filter(|_| state.cancels > 0 && state.now < LATER) {
                let (value, ticket, then) = (state.jobs[job], state.tickets[job], state.now);
                if matches!(self.rules.change(Change::Cancel, value, then), Outcome::Becomes(_)) {
                    let mut asked = *state;
                    asked.cancels -= 1;
                    asked.cancelling = Some(Cancelling { job: small(job), value, ticket, then, fresh: true });
                    next.push((Step::of("is read for a cancel: job", job), asked));
                }
            }
            return Ok(());
        };
        let Outcome::Becomes(after) = self.rules.change(Change::Cancel, value, then) else {
            return Err("a cancel was decided otherwise".into());
        };
        let name = Step::of("is cancelled: job", usize::from(job));
        let written: Write = if self.rules.job(after).status.is_terminal() {
            let ending = Ending { job, before: value, after, ticket, fresh, proof: None };
            table::end(state, ending, &mut self.rules, &self.setting)
        } else {
            Ok(table::update_job(state, job, after, fresh, &self.setting))
        };
        let written = written?;
        let is_stale = written.is_none();
        push_written(name, state, written, next, |state| {
            state.cancelling = None;
            state.cancels += u8::from(is_stale);
        });
        Ok(())
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
        // Hours and days do not pass without a whole round of the sweeper.
        if state.now + 1 < MOMENTS && (state.now < LATER || self.is_swept(state)) {
            let mut later = *state;
            later.now += 1;
            if later.now >= self.setting.moments && later.now < LATER {
                later.now = LATER;
            }
            if later.now >= LATER {
                // No function lives for hours: what it was about to write is not written.
                later.calls = [Call::None; MOST];
                later.beats = [None; MOST];
                later.sweepers = [Sweeper::Idle; MOST];
                later.cancelling = None;
            }
            next.push((Step::of("time passes to", usize::from(later.now)), later));
        }
    }

    /// Nothing is left to do now for anybody but the runners, who may have died long ago.
    fn is_swept(&mut self, state: &State) -> bool {
        let now = state.now;
        let due = (0..self.setting.jobs).any(|at| {
            self.rules.settled(state.tickets[at]).is_some()
                || matches!(self.rules.change(Change::Due, state.jobs[at], now), Outcome::Becomes(_))
        });
        let judged = (0..self.setting.runners).any(|at| self.rules.judge(state.runners[at], now) != Judged::Nothing);
        !due && !judged && state.cancelling.is_none() && state.sweepers == [Sweeper::Idle; MOST]
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
                return Err(format!("job {at} is {}, and its ticket names it: {named}", job.status.words()));
            }
            if !self.rules.has_its_row(value, ticket) {
                return Err(format!("job {at} or its ticket has no row"));
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
        if state.now + 1 == MOMENTS && self.is_swept(state) {
            for at in 0..self.setting.jobs {
                let job = self.rules.job(state.jobs[at]);
                if !job.status.is_terminal() {
                    return Err(format!("job {at} is left hanging: {}", job.status.words()));
                }
            }
        }
        Ok(())
    }

    fn next(&mut self, state: &State) -> Result<Next, String> {
        let mut next = Vec::new();
        // Runners go on for hours, not for days.
        for at in (0..self.setting.runners).filter(|_| state.now <= LATER) {
            match state.calls[at] {
                Call::None => self.runner(state, at, &mut next)?,
                _ => self.call(state, at, &mut next)?,
            }
            self.heartbeat(state, at, &mut next);
        }
        for at in 0..self.setting.sweepers {
            // One is as good as the other: the second begins only beside the first.
            if at == 0 || state.sweepers[at] != Sweeper::Idle || state.sweepers[at - 1] != Sweeper::Idle {
                self.sweeper(state, at, &mut next)?;
            }
        }
        self.person(state, &mut next)?;
        self.surroundings(state, &mut next);
        Ok(next)
    }
}

/// The runner gives its job up, or is done with it; its next claim is another.
fn drop_work(state: &mut State, at: usize) {
    state.work[at] = None;
    state.claims[at] += 1;
}

/// A write by somebody who begins anew whether it was stale or not.
fn push_written(name: Step, state: &State, written: Option<State>, next: &mut Next, done: impl Fn(&mut State)) {
    let name = if written.is_some() { name } else { name.but(": stale") };
    let mut moved = written.unwrap_or(*state);
    done(&mut moved);
    next.push((name, moved));
}
