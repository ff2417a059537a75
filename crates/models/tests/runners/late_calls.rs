//! Models calls without a caller: the second copy of a call, and a call whose process is dead. Their functions may run
//! at any later time, and no process receives the answer.

use super::rules::{Change, Outcome};
use super::runner::{drop_work, pending_call};
use super::state::{Call, CallFacts, LateCall, State};
use super::world::{NextStates, World, push_written, to_u8};
use crate::explore::Step;

impl World {
    /// Sends a call twice. A claim selects its job when it is read.
    pub(super) fn double_call(&self, state: &State, at: usize, change: Change, job: Option<u8>, next: &mut NextStates) {
        if state.doubled_calls == 0
            || state.late_call.is_some()
            || state.now >= self.setting.moments.first_without_starts()
        {
            return;
        }
        let late = Some(LateCall::Sent { change, job });
        next.push((
            Step::new("calls twice: runner", at),
            State { doubled_calls: state.doubled_calls - 1, late_call: late, ..*state },
        ));
    }

    /// The process of a runner's job dies, and its live runner reports that. A call that was read may still be written,
    /// at any time or never.
    pub(super) fn kill_process(&self, state: &State, at: usize, next: &mut NextStates) {
        let calls = pending_call(state, at);
        let room = calls.is_none() || state.late_call.is_none();
        if state.crashes == 0
            || state.work[at].is_none()
            || !room
            || state.now >= self.setting.moments.first_without_starts()
        {
            return;
        }
        let late = calls.map(|(change, read)| LateCall::Read { change, read });
        let mut dead = State { crashes: state.crashes - 1, late_call: late.or(state.late_call), ..*state };
        dead.calls[at] = Call::None;
        drop_work(&mut dead, at);
        next.push((Step::new("dies: the process of runner", at), dead));
    }

    pub(super) fn late_call(&mut self, state: &State, next: &mut NextStates) -> Result<(), String> {
        let Some(late) = state.late_call else { return Ok(()) };
        let (LateCall::Sent { change, .. } | LateCall::Read { change, .. }) = late;
        let Some(runner) = change.runner() else { return Err("a late call is nobody's".into()) };
        match late {
            LateCall::Sent { job, .. } => self.read_late_call(state, runner, change, job, next),
            LateCall::Read { read, .. } => {
                let (write, _) = self.write_call(state, change, read)?;
                let name = Step::new("is written late: a call of runner", runner);
                push_written(name, state, write, next, |state| state.late_call = None);
            }
        }
        Ok(())
    }

    fn read_late_call(&mut self, state: &State, runner: usize, change: Change, job: Option<u8>, next: &mut NextStates) {
        let looks = match change {
            Change::Claim { claim, .. } => {
                self.may_claim(state, runner, claim) && self.claimed_job(state, runner, claim).is_none()
            }
            _ => true,
        };
        let mut found_any = false;
        let its = |at: &usize| looks && job.is_none_or(|job| usize::from(job) == *at);
        for at in (0..self.setting.jobs).filter(its) {
            let seen = state.jobs[at];
            if matches!(self.rules.change(change, seen, state.now), Outcome::Changed(_)) {
                found_any = true;
                let ticket = state.tickets[at];
                let read = CallFacts { job: to_u8(at), version_read: seen, ticket, then: state.now, fresh: true };
                let late = Some(LateCall::Read { change, read });
                next.push((Step::new("is read late: a call of runner", runner), State { late_call: late, ..*state }));
            }
        }
        if !found_any {
            next.push((
                Step::new("comes to nothing: a late call of runner", runner),
                State { late_call: None, ..*state },
            ));
        }
    }
}
