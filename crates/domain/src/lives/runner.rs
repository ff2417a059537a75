//! A self-hosted runner: it claims, works, pushes and finishes, and speaks of itself.

use super::Rule;
use super::rules::{Change, Outcome, To, Value, time};
use super::state::{Beat, Call, LATER, Phase, State, Work};
use super::table::{self, Ending};
use super::world::{Next, World, small};
use crate::explore::Step;
use crate::job::{PUSH_FOR, Status, Want};

impl World {
    /// A runner with no call under way, before it makes one.
    pub(super) fn runner(&mut self, state: &State, at: usize, next: &mut Next) -> Result<(), String> {
        let does = |what| Step::of(what, at);
        let Some(work) = state.work[at] else {
            self.claims(state, at, next);
            return Ok(());
        };
        let progress = |to| {
            let told = if to == To::Syncing { work.read } else { 0 };
            Change::Progress { runner: small(at), claim: state.claims[at], attempt: work.attempt, to, told }
        };
        self.hears(state, at, work, next);
        match work.phase {
            Phase::Asks | Phase::Pauses => {
                let asks = work.phase == Phase::Asks;
                let (runner, claim) = (small(at), state.claims[at]);
                let change = Change::Yield { runner, claim, attempt: work.attempt, asks, read: work.read };
                self.asks(state, at, work, change, next)?;
            }
            Phase::Claimed => self.asks(state, at, work, progress(To::Preparing), next)?,
            Phase::Preparing => self.asks(state, at, work, progress(To::Executing), next)?,
            Phase::Executing => self.asks(state, at, work, progress(To::Syncing), next)?,
            Phase::MayPush(moment) if time(state.now) < time(moment).plus(PUSH_FOR) => {
                let mut pushed = *state;
                let job = self.rules.job(state.jobs[usize::from(work.job)]);
                let holds = job.status == Status::Syncing
                    && job.attempt == u32::from(work.attempt)
                    && self.rules.claim_is(state.jobs[usize::from(work.job)], small(at), state.claims[at]);
                // Where clocks are apart, others may take a job too early: what is left is what git admits.
                if !holds && self.setting.ahead == 0 {
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
                self.asks(state, at, work, change, next)?;
            }
        }
        Ok(())
    }

    /// What an agent does by itself, and what its runner hears beside.
    fn hears(&mut self, state: &State, at: usize, work: Work, next: &mut Next) {
        let job = self.rules.job(state.jobs[usize::from(work.job)]);
        let held = job.attempt == u32::from(work.attempt) && job.status.is_active();
        // It asks to push when its agent has done.
        let works = work.phase == Phase::Executing && !(held && job.status == Status::Syncing);
        if works && state.questions > 0 {
            let mut asks = *state;
            asks.questions -= 1;
            asks.work[at] = Some(Work { phase: Phase::Asks, ..work });
            next.push((Step::of("has a question: runner", at), asks));
        }
        if works && held && job.want == Want::Pause {
            let mut pauses = *state;
            pauses.work[at] = Some(Work { phase: Phase::Pauses, ..work });
            next.push((Step::of("hears of a pause: runner", at), pauses));
        }
    }

    /// A runner without work asks for some.
    fn claims(&mut self, state: &State, at: usize, next: &mut Next) {
        let (stored, claim) = (state.runners[at], state.claims[at]);
        let does = |what| Step::of(what, at);
        for (job, value) in state.jobs.iter().enumerate().take(self.setting.jobs) {
            if self.rules.claim_is(*value, small(at), claim) && self.rules.holds(*value, stored) {
                let attempt = u8::try_from(self.rules.job(*value).attempt).unwrap_or(u8::MAX);
                let mut again = *state;
                let read = u8::try_from(self.rules.job(*value).inputs).unwrap_or(u8::MAX);
                again.work[at] = Some(Work { job: small(job), attempt, phase: Phase::Claimed, read });
                next.push((does("repeats its claim, and has its job: runner"), again));
                return;
            }
        }
        if self.rules.had_its_job(stored, small(at), claim) && self.setting.without != Some(Rule::LastClaim) {
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
        for job in 0..self.setting.jobs {
            let change = Change::Claim { runner: small(at), claim };
            for (seen, fresh) in self.reads(state, job) {
                if matches!(self.rules.change(change, seen, state.now), Outcome::Becomes(_)) {
                    let mut asked = *state;
                    asked.calls[at] = Call::Claim { job: small(job), seen, then: state.now, fresh };
                    next.push((does("is to get a job: runner"), asked));
                }
            }
        }
    }

    /// What somebody who reads a job may get: what stands there, or where reads lag what stood there before.
    fn reads(&self, state: &State, job: usize) -> impl Iterator<Item = (Value, bool)> + use<> {
        let (now, before) = (state.jobs[job], state.before[job]);
        let lags = self.setting.lags && before != now;
        [Some((now, true)), lags.then_some((before, false))].into_iter().flatten()
    }

    /// A call whose function reads the job and decides.
    fn asks(&mut self, state: &State, at: usize, work: Work, change: Change, next: &mut Next) -> Result<(), String> {
        let job = usize::from(work.job);
        let (ticket, then) = (state.tickets[job], state.now);
        for (seen, fresh) in self.reads(state, job) {
            let outcome = self.rules.change(change, seen, then);
            let mut asked = *state;
            let name = match outcome {
                Outcome::Becomes(_) => {
                    asked.calls[at] = match change {
                        Change::Finish { .. } => Call::Finish { seen, ticket, then, fresh },
                        Change::Yield { .. } => Call::Yield { seen, ticket, then, fresh },
                        _ => Call::Progress { seen, then, fresh },
                    };
                    "is read: the call of runner"
                }
                // The read that follows is the one above.
                _ if !fresh && self.setting.without != Some(Rule::LookAgain) => continue,
                Outcome::Already if matches!(change, Change::Finish { .. } | Change::Yield { .. }) => {
                    drop_work(&mut asked, at);
                    "is told that it has finished: runner"
                }
                Outcome::Already => {
                    self.goes_on(&mut asked, at, work, then);
                    "repeats its phase: runner"
                }
                Outcome::Unwanted => {
                    let pause = self.rules.job(seen).want == Want::Pause;
                    let phase = if pause { Phase::Pauses } else { Phase::Stops };
                    asked.work[at] = Some(Work { phase, ..work });
                    "is told to stop: runner"
                }
                Outcome::NewerInput => {
                    let read = u8::try_from(self.rules.job(seen).inputs).unwrap_or(u8::MAX);
                    asked.work[at] = Some(Work { phase: Phase::Executing, read, ..work });
                    "reads what was said: runner"
                }
                Outcome::LeaseLost | Outcome::Nothing => {
                    let held = self.rules.job(state.jobs[job]).status.is_active()
                        && self.rules.claim_is(state.jobs[job], small(at), state.claims[at]);
                    if held {
                        return Err(format!("runner {at} is told that it has lost job {job}, which it holds"));
                    }
                    drop_work(&mut asked, at);
                    "has lost its job: runner"
                }
            };
            next.push((Step::of(name, at), asked));
        }
        Ok(())
    }

    /// The answer to a phase: the next one, or the end of it.
    fn goes_on(&mut self, state: &mut State, at: usize, work: Work, then: u8) {
        let job = self.rules.job(state.jobs[usize::from(work.job)]);
        let phase = match work.phase {
            _ if job.want == Want::Cancel => Phase::Stops,
            Phase::Claimed | Phase::Preparing if job.want == Want::Pause => Phase::Pauses,
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
    pub(super) fn call(&mut self, state: &State, at: usize, next: &mut Next) -> Result<(), String> {
        let (runner, claim) = (small(at), state.claims[at]);
        let (name, written, then) = match (state.calls[at], state.work[at]) {
            (Call::Claim { job, seen, then, fresh }, _) => {
                let Outcome::Becomes(after) = self.rules.change(Change::Claim { runner, claim }, seen, then) else {
                    return Err("a claim was decided otherwise".into());
                };
                let written = table::claim(state, at, job, after, fresh, &mut self.rules, &self.setting)?;
                let attempt = u8::try_from(self.rules.job(after).attempt).unwrap_or(u8::MAX);
                let read = u8::try_from(self.rules.job(after).inputs).unwrap_or(u8::MAX);
                let work = Some(Work { job, attempt, phase: Phase::Claimed, read });
                ("gets a job: runner", written, work)
            }
            (Call::Progress { seen, then, fresh }, Some(work)) => {
                let to = match work.phase {
                    Phase::Claimed => To::Preparing,
                    Phase::Preparing => To::Executing,
                    _ => To::Syncing,
                };
                let told = if to == To::Syncing { work.read } else { 0 };
                let change = Change::Progress { runner, claim, attempt: work.attempt, to, told };
                let Outcome::Becomes(after) = self.rules.change(change, seen, then) else {
                    return Err("a phase was decided otherwise".into());
                };
                let mut written = table::update_job(state, work.job, after, fresh, &self.setting);
                if written.is_some() && to == To::Syncing && self.rules.job(after).inputs != u32::from(work.read) {
                    return Err(format!("job {} is pushed without what was said to it", work.job));
                }
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
            (Call::Yield { seen, ticket, then, fresh }, Some(work)) => {
                let asks = work.phase == Phase::Asks;
                let change = Change::Yield { runner, claim, attempt: work.attempt, asks, read: work.read };
                let Outcome::Becomes(after) = self.rules.change(change, seen, then) else {
                    return Err("a runner gave its job back otherwise".into());
                };
                let ending = Ending { job: work.job, before: seen, after, ticket, fresh, proof: None };
                let written = table::end(state, ending, &mut self.rules, &self.setting)?;
                let job = self.rules.job(after);
                if written.is_some() && job.status == Status::AwaitingInput && job.inputs != u32::from(work.read) {
                    return Err(format!("job {} waits for an answer that it has", work.job));
                }
                ("gives its job back: runner", written, None)
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

    pub(super) fn heartbeat(&mut self, state: &State, at: usize, next: &mut Next) {
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
}

/// The runner gives its job up, or is done with it; its next claim is another.
fn drop_work(state: &mut State, at: usize) {
    state.work[at] = None;
    state.claims[at] += 1;
}
