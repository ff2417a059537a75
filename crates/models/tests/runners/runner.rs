//! Models a self-hosted runner: it claims, works, pushes, finishes and sends heartbeats.

use super::rules::{Change, ItemVersion, Outcome, TargetPhase};
use super::state::{Call, CallFacts, PendingHeartbeat, Phase, State, Work};
use super::table::{self, JobEnd, NewClaim};
use super::world::{NextStates, World, to_u8};
use crate::explore::Step;
use pullyard_domain::job::{DesiredState, JobStatus, PUSH_WINDOW};

impl World {
    pub(super) fn runner(&mut self, state: &State, at: usize, next: &mut NextStates) -> Result<(), String> {
        let step = |action| Step::new(action, at);
        let Some(work) = state.work[at] else {
            self.claim_job(state, at, next);
            return Ok(());
        };
        self.receive_agent_event(state, at, work, next);
        match work.phase {
            Phase::MayPush(since)
                if self.setting.moments.time(state.now) < self.setting.moments.time(since).plus(PUSH_WINDOW) =>
            {
                let mut pushed = *state;
                let job = self.rules.job(state.jobs[usize::from(work.job)]);
                let holds = job.status == JobStatus::Syncing
                    && job.attempt == u32::from(work.attempt)
                    && self.rules.is_claimed_by(state.jobs[usize::from(work.job)], to_u8(at), state.claims[at]);
                // With differing clocks a job may be lost too early; then only git prevents a second push.
                if !holds && self.setting.clock_skew_secs == 0 {
                    return Err(format!("runner {at} pushes job {}, which it does not hold", work.job));
                }
                let branch = &mut pushed.pushed[usize::from(work.job)];
                *branch |= 1 << work.attempt;
                pushed.work[at] = Some(Work { phase: Phase::Pushed, ..work });
                next.push((step("pushes: runner"), pushed));
            }
            Phase::MayPush(_) => {
                let mut stops = *state;
                stops.work[at] = Some(Work { phase: Phase::Stopping, ..work });
                next.push((step("has no time left to push: runner"), stops));
            }
            _ => {
                if let Some(change) = next_change(at, state.claims[at], work) {
                    self.send_call(state, at, work, change, next)?;
                }
            }
        }
        Ok(())
    }

    fn receive_agent_event(&mut self, state: &State, at: usize, work: Work, next: &mut NextStates) {
        let job = self.rules.job(state.jobs[usize::from(work.job)]);
        let held = job.attempt == u32::from(work.attempt) && job.status.is_active();
        // A runner in `Syncing` has no working agent.
        let is_working = work.phase == Phase::Executing && !(held && job.status == JobStatus::Syncing);
        // An attempt that adopts an earlier push has no agent.
        let has_agent = state.pushed[usize::from(work.job)] == 0;
        if is_working && has_agent && state.questions > 0 {
            let mut questioning = *state;
            questioning.questions -= 1;
            questioning.work[at] = Some(Work { phase: Phase::Questioning, ..work });
            next.push((Step::new("has a question: runner", at), questioning));
        }
        if is_working && held && job.want == DesiredState::Pause {
            let mut pausing = *state;
            pausing.work[at] = Some(Work { phase: Phase::Pausing, ..work });
            next.push((Step::new("hears of a pause: runner", at), pausing));
        }
    }

    fn claim_job(&mut self, state: &State, at: usize, next: &mut NextStates) {
        let (stored, claim) = (state.runners[at], state.claims[at]);
        let step = |action| Step::new(action, at);
        if let Some(job) = self.claimed_job(state, at, claim) {
            let claimed = self.rules.job(state.jobs[job]);
            let attempt = u8::try_from(claimed.attempt).unwrap_or(u8::MAX);
            let read = u8::try_from(claimed.inputs).unwrap_or(u8::MAX);
            let mut repeated = *state;
            repeated.work[at] = Some(Work { job: to_u8(job), attempt, phase: Phase::Claimed, inputs_read: read });
            next.push((step("repeats its claim, and has its job: runner"), repeated));
            return;
        }
        if self.rules.claim_was_used(stored, to_u8(at), claim) {
            // This claim got its job before; the next claim needs a new id.
            let mut spent = *state;
            spent.claims[at] += 1;
            next.push((step("hears that its claim is spent: runner"), spent));
            return;
        }
        if !self.may_claim(state, at, claim) {
            return;
        }
        self.double_call(state, at, Change::Claim { runner: to_u8(at), claim }, None, next);
        for job in 0..self.setting.jobs {
            let change = Change::Claim { runner: to_u8(at), claim };
            let seen = state.jobs[job];
            if matches!(self.rules.change(change, seen, state.now), Outcome::Changed(_)) {
                let mut after = *state;
                after.calls[at] = Call::Claim { job: to_u8(job), seen, then: state.now, fresh: true };
                next.push((step("is to get a job: runner"), after));
            }
        }
    }

    pub(super) fn claimed_job(&self, state: &State, at: usize, claim: u8) -> Option<usize> {
        let is_claimed = |value: ItemVersion| {
            self.rules.is_claimed_by(value, to_u8(at), claim) && self.rules.holds_claim(value, state.runners[at])
        };
        (0..self.setting.jobs).find(|job| is_claimed(state.jobs[*job]))
    }

    pub(super) fn may_claim(&self, state: &State, at: usize, claim: u8) -> bool {
        self.rules.may_claim(state.runners[at], to_u8(at), claim, state.now)
            && state.now < self.setting.moments.first_without_starts()
    }

    fn send_call(
        &mut self,
        state: &State,
        at: usize,
        work: Work,
        change: Change,
        next: &mut NextStates,
    ) -> Result<(), String> {
        let job = usize::from(work.job);
        let (ticket, then) = (state.tickets[job], state.now);
        self.double_call(state, at, change, Some(work.job), next);
        let (seen, fresh) = (state.jobs[job], true);
        let outcome = self.rules.change(change, seen, then);
        let mut after = *state;
        let name = match outcome {
            Outcome::Changed(_) => {
                after.calls[at] = match change {
                    Change::Finish { .. } => Call::Finish { seen, ticket, then, fresh },
                    Change::Yield { .. } => Call::Yield { seen, ticket, then, fresh },
                    _ => Call::Progress { seen, then, fresh },
                };
                "is read: the call of runner"
            }
            Outcome::AlreadyDone if matches!(change, Change::Finish { .. } | Change::Yield { .. }) => {
                drop_work(&mut after, at);
                "is told that it has finished: runner"
            }
            Outcome::AlreadyDone => {
                self.advance_phase(&mut after, at, work, then);
                "repeats its phase: runner"
            }
            Outcome::StopRequested => {
                let pause = self.rules.job(seen).want == DesiredState::Pause;
                let phase = if pause { Phase::Pausing } else { Phase::Stopping };
                after.work[at] = Some(Work { phase, ..work });
                "is told to stop: runner"
            }
            Outcome::NewerInput => {
                let read = u8::try_from(self.rules.job(seen).inputs).unwrap_or(u8::MAX);
                after.work[at] = Some(Work { phase: Phase::Executing, inputs_read: read, ..work });
                "reads what was said: runner"
            }
            Outcome::LeaseLost | Outcome::NoChange => {
                let held = self.rules.job(state.jobs[job]).status.is_active()
                    && self.rules.is_claimed_by(state.jobs[job], to_u8(at), state.claims[at]);
                if held {
                    return Err(format!("runner {at} is told that it has lost job {job}, which it holds"));
                }
                drop_work(&mut after, at);
                "has lost its job: runner"
            }
        };
        next.push((Step::new(name, at), after));
        Ok(())
    }

    fn advance_phase(&mut self, state: &mut State, at: usize, work: Work, then: u8) {
        let job = self.rules.job(state.jobs[usize::from(work.job)]);
        let phase = match work.phase {
            _ if job.want == DesiredState::Cancel => Phase::Stopping,
            Phase::Claimed | Phase::Preparing if job.want == DesiredState::Pause => Phase::Pausing,
            Phase::Claimed => Phase::Preparing,
            Phase::Preparing => Phase::Executing,
            // The answer contains the remaining push time; zero means no push.
            _ if job.push_until.is_some_and(|until| until > self.setting.moments.time(then)) => Phase::MayPush(then),
            _ => Phase::Stopping,
        };
        state.work[at] = Some(Work { phase, ..work });
    }

    pub(super) fn write_pending_call(&mut self, state: &State, at: usize, next: &mut NextStates) -> Result<(), String> {
        let Some((change, read)) = pending_call(state, at) else { return Ok(()) };
        let (write, after) = self.write_call(state, change, read)?;
        let step = Step::new(
            match change {
                Change::Claim { .. } => "gets a job: runner",
                Change::Progress { .. } => "goes on: runner",
                Change::Finish { .. } => "finishes: runner",
                _ => "gives its job back: runner",
            },
            at,
        );
        let Some(mut write) = write else {
            let mut stale = *state;
            stale.calls[at] = Call::None;
            next.push((step.with_suffix(": stale"), stale));
            return Ok(());
        };
        write.calls[at] = Call::None;
        if write.faults > 0 {
            let lost = State { faults: write.faults - 1, ..write };
            next.push((step.with_suffix(": answer lost"), lost));
        }
        match (change, state.work[at]) {
            (Change::Claim { .. }, _) => {
                let claimed = self.rules.job(after);
                let attempt = u8::try_from(claimed.attempt).unwrap_or(u8::MAX);
                let inputs = u8::try_from(claimed.inputs).unwrap_or(u8::MAX);
                write.work[at] = Some(Work { job: read.job, attempt, phase: Phase::Claimed, inputs_read: inputs });
            }
            (Change::Progress { .. }, Some(work)) => self.advance_phase(&mut write, at, work, read.then),
            _ => drop_work(&mut write, at),
        }
        next.push((step, write));
        Ok(())
    }

    /// The state after the write of a call, unless its facts were stale, and the job as decided.
    pub(super) fn write_call(
        &mut self,
        state: &State,
        change: Change,
        read: CallFacts,
    ) -> Result<(Option<State>, ItemVersion), String> {
        let CallFacts { job, version_read: seen, ticket, then, fresh } = read;
        let Outcome::Changed(after) = self.rules.change(change, seen, then) else {
            return Err("a call was decided otherwise".into());
        };
        let write = match change {
            Change::Claim { claim, .. } => {
                let claim = NewClaim { claim, job, after, fresh };
                table::claim(state, claim, &mut self.rules)?
            }
            Change::Progress { .. } => table::update_job(state, job, after, fresh),
            _ => {
                let ending = JobEnd { job, before: seen, after, ticket, fresh, proof: None };
                table::end(state, ending, &mut self.rules, &self.setting)?
            }
        };
        if write.is_some() {
            self.check_write(state, change, job, after)?;
        }
        Ok((write, after))
    }

    fn check_write(&self, state: &State, change: Change, job: u8, after: ItemVersion) -> Result<(), String> {
        let stored = state.jobs[usize::from(job)];
        let holds = |runner: u8, claim: u8, attempt: u8| {
            let job = self.rules.job(stored);
            let is_claimed = self.rules.is_claimed_by(stored, runner, claim) && job.attempt == u32::from(attempt);
            is_claimed && job.status.is_active()
        };
        let held = match change {
            Change::Progress { runner, claim, attempt, .. }
            | Change::Finish { runner, claim, attempt, .. }
            | Change::Yield { runner, claim, attempt, .. } => holds(runner, claim, attempt),
            _ => true,
        };
        if !held {
            return Err(format!("something is written of job {job} in another's name"));
        }
        let (pushed, after) = (state.pushed[usize::from(job)], self.rules.job(after));
        match change {
            Change::Progress { to: TargetPhase::Syncing, inputs_read, .. }
                if after.inputs != u32::from(inputs_read) =>
            {
                Err(format!("job {job} is pushed without what was said to it"))
            }
            Change::Finish { completed: true, .. } if pushed & 1 << after.attempt == 0 => {
                Err(format!("attempt {} of job {job} is completed and has not pushed", after.attempt))
            }
            Change::Yield { read, .. }
                if after.status == JobStatus::AwaitingInput && after.inputs != u32::from(read) =>
            {
                Err(format!("job {job} waits for an answer that it has"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn heartbeat(&mut self, state: &State, at: usize, next: &mut NextStates) {
        let stored = state.runners[at];
        let step = |action| Step::new(action, at);
        match state.heartbeats[at] {
            None => {
                let runs = state.work[at].map(|work| work.job);
                // At most one heartbeat per moment, so that no two have the same time.
                if self.rules.runner(stored).last_heartbeat < self.setting.moments.time(state.now) {
                    let mut after = *state;
                    after.heartbeats[at] =
                        Some(PendingHeartbeat { version_read: stored, active_job: runs, then: state.now });
                    next.push((step("is read: the heartbeat of runner"), after));
                }
            }
            Some(PendingHeartbeat { version_read: seen, active_job: runs, then }) => {
                let mut after = *state;
                after.heartbeats[at] = None;
                if self.rules.runner(stored).epoch != self.rules.runner(seen).epoch {
                    next.push((step("heartbeat: stale, runner"), after));
                    return;
                }
                after.runners[at] = self.rules.with_heartbeat(seen, stored, runs, then);
                if then == state.now {
                    after.last_heartbeat[at] = then;
                }
                next.push((step("sends a heartbeat: runner"), after));
            }
        }
    }
}

fn next_change(at: usize, claim: u8, work: Work) -> Option<Change> {
    let (runner, attempt) = (to_u8(at), work.attempt);
    let progress = |to| {
        let inputs_read = if to == TargetPhase::Syncing { work.inputs_read } else { 0 };
        Change::Progress { runner, claim, attempt, to, inputs_read }
    };
    Some(match work.phase {
        Phase::Claimed => progress(TargetPhase::Preparing),
        Phase::Preparing => progress(TargetPhase::Executing),
        Phase::Executing => progress(TargetPhase::Syncing),
        Phase::MayPush(_) => return None,
        Phase::Pushed | Phase::Stopping => {
            Change::Finish { runner, claim, attempt, completed: work.phase == Phase::Pushed }
        }
        Phase::Questioning | Phase::Pausing => {
            Change::Yield { runner, claim, attempt, asks: work.phase == Phase::Questioning, read: work.inputs_read }
        }
    })
}

pub(super) fn pending_call(state: &State, at: usize) -> Option<(Change, CallFacts)> {
    let claim = state.claims[at];
    let of = |job: u8| state.tickets[usize::from(job)];
    if let Call::Claim { job, seen, then, fresh } = state.calls[at] {
        let read = CallFacts { job, version_read: seen, ticket: of(job), then, fresh };
        return Some((Change::Claim { runner: to_u8(at), claim }, read));
    }
    let work = state.work[at]?;
    let job = work.job;
    let read = match state.calls[at] {
        Call::None | Call::Claim { .. } => return None,
        Call::Progress { seen, then, fresh } => CallFacts { job, version_read: seen, ticket: of(job), then, fresh },
        Call::Finish { seen, ticket, then, fresh } | Call::Yield { seen, ticket, then, fresh } => {
            CallFacts { job, version_read: seen, ticket, then, fresh }
        }
    };
    Some((next_change(at, claim, work)?, read))
}

/// The runner loses or finishes its job; its next claim gets a new id.
pub(super) fn drop_work(state: &mut State, at: usize) {
    state.work[at] = None;
    state.claims[at] += 1;
}
