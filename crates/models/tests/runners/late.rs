//! Models calls without a caller: the second copy of a call, and a call whose process is dead. Their functions may run
//! at any later time, and nobody receives the answer.

use super::rules::{Change, Outcome};
use super::runner::{drop_work, under_way};
use super::state::{Call, Late, Read, State};
use super::world::{Next, World, push_written, small};
use crate::explore::Step;

impl World {
    /// Sends a call twice. A claim selects its job when it is read.
    pub(super) fn comes_twice(&self, state: &State, at: usize, change: Change, job: Option<u8>, next: &mut Next) {
        if state.doubles == 0 || state.late.is_some() || state.now >= self.setting.moments.later() {
            return;
        }
        let late = Some(Late::Sent { change, job });
        next.push((Step::of("calls twice: runner", at), State { doubles: state.doubles - 1, late, ..*state }));
    }

    /// The process of a runner's job dies, and its live runner reports that. A call that was read may still be written,
    /// at any time or never.
    pub(super) fn dies(&self, state: &State, at: usize, next: &mut Next) {
        let calls = under_way(state, at);
        let room = calls.is_none() || state.late.is_none();
        if state.crashes == 0 || state.work[at].is_none() || !room || state.now >= self.setting.moments.later() {
            return;
        }
        let late = calls.map(|(change, read)| Late::Read { change, read });
        let mut dead = State { crashes: state.crashes - 1, late: late.or(state.late), ..*state };
        dead.calls[at] = Call::None;
        drop_work(&mut dead, at);
        next.push((Step::of("dies: the process of runner", at), dead));
    }

    pub(super) fn late(&mut self, state: &State, next: &mut Next) -> Result<(), String> {
        let Some(late) = state.late else { return Ok(()) };
        let (Late::Sent { change, .. } | Late::Read { change, .. }) = late;
        let Some(who) = change.runner() else { return Err("a late call is nobody's".into()) };
        match late {
            Late::Sent { job, .. } => self.reads_late(state, who, change, job, next),
            Late::Read { read, .. } => {
                let (written, _) = self.writes(state, change, read)?;
                let name = Step::of("is written late: a call of runner", who);
                push_written(name, state, written, next, |state| state.late = None);
            }
        }
        Ok(())
    }

    fn reads_late(&mut self, state: &State, who: usize, change: Change, job: Option<u8>, next: &mut Next) {
        let looks = match change {
            Change::Claim { claim, .. } => {
                self.may_look(state, who, claim) && self.claimed(state, who, claim).is_none()
            }
            _ => true,
        };
        let mut some = false;
        let its = |at: &usize| looks && job.is_none_or(|job| usize::from(job) == *at);
        for at in (0..self.setting.jobs).filter(its) {
            for (seen, fresh) in self.reads(state, at) {
                if matches!(self.rules.change(change, seen, state.now), Outcome::Becomes(_)) {
                    some = true;
                    let read = Read { job: small(at), seen, ticket: state.tickets[at], then: state.now, fresh };
                    let late = Some(Late::Read { change, read });
                    next.push((Step::of("is read late: a call of runner", who), State { late, ..*state }));
                }
            }
        }
        if !some {
            next.push((Step::of("comes to nothing: a late call of runner", who), State { late: None, ..*state }));
        }
    }
}
