//! Models a user who cancels, pauses and resumes a job and sends inputs to its agent.

use super::rules::{Change, Outcome};
use super::state::{State, UserCall, UserRequest};
use super::table::{self, JobEnd, Write};
use super::world::{NextStates, World, to_u8};
use crate::explore::Step;
use pullyard_domain::job::{DesiredState, JobStatus};

impl World {
    pub(super) fn user(&mut self, state: &State, next: &mut NextStates) -> Result<(), String> {
        let Some(UserCall { request: wish, job, value, ticket, then, fresh }) = state.user_call else {
            let open = state.now < self.setting.moments.first_without_starts();
            for job in (0..self.setting.jobs).filter(|_| open) {
                self.user_requests(state, job, next);
            }
            return Ok(());
        };
        let Outcome::Changed(after) = self.rules.change(Change::User(wish), value, then) else {
            return Err("a wish was decided otherwise".into());
        };
        // An active job is written alone, because its runner holds it; any other is written with runner and ticket.
        let write: Write = if self.rules.job(after).status.is_active() {
            Ok(table::update_job(state, job, after, fresh))
        } else {
            let ending = JobEnd { job, before: value, after, ticket, fresh, proof: None };
            table::end(state, ending, &mut self.rules, &self.setting)
        };
        let at = usize::from(job);
        let was_suspended = matches!(self.rules.job(value).status, JobStatus::AwaitingInput | JobStatus::Paused);
        let step = Step::new(wish_name(wish), at);
        let Some(mut write) = write? else {
            let mut stale = *state;
            stale.user_call = None;
            spend(&mut stale, wish, 1);
            next.push((step.with_suffix(": stale"), stale));
            return Ok(());
        };
        write.user_call = None;
        match wish {
            UserRequest::Pause => write.pause_wanted[at] = true,
            UserRequest::Cancel | UserRequest::Continue => write.pause_wanted[at] = false,
            UserRequest::Input(input) => {
                write.stored_inputs[at] |= 1 << input;
                write.pause_wanted[at] &= !was_suspended;
            }
        }
        if write.faults > 0 && matches!(wish, UserRequest::Input(_)) {
            let mut lost = State { faults: write.faults - 1, ..write };
            spend(&mut lost, wish, 1);
            next.push((step.with_suffix(": answer lost"), lost));
        }
        next.push((step, write));
        Ok(())
    }

    fn user_requests(&mut self, state: &State, job: usize, next: &mut NextStates) {
        let input_number = self.setting.inputs - state.remaining_inputs;
        let may = [
            (UserRequest::Cancel, state.cancels > 0),
            (UserRequest::Pause, state.pauses > 0),
            (UserRequest::Continue, self.setting.pauses > 0 && self.is_paused(state, job)),
            (UserRequest::Input(input_number), state.remaining_inputs > 0),
        ];
        for (wish, _) in may.into_iter().filter(|(_, may)| *may) {
            let known = matches!(wish, UserRequest::Input(input) if state.stored_inputs[job] & 1 << input != 0);
            let mut after = *state;
            spend(&mut after, wish, -1);
            if known {
                next.push((Step::new("is told that it was said: job", job), after));
                continue;
            }
            let (value, ticket, then) = (state.jobs[job], state.tickets[job], state.now);
            if matches!(self.rules.change(Change::User(wish), value, then), Outcome::Changed(_)) {
                after.user_call = Some(UserCall { request: wish, job: to_u8(job), value, ticket, then, fresh: true });
                next.push((Step::new("is read for a wish: job", job), after));
            }
        }
    }

    fn is_paused(&self, state: &State, job: usize) -> bool {
        let job = self.rules.job(state.jobs[job]);
        job.status == JobStatus::Paused || job.want == DesiredState::Pause
    }
}

fn wish_name(wish: UserRequest) -> &'static str {
    match wish {
        UserRequest::Cancel => "is cancelled: job",
        UserRequest::Pause => "is paused: job",
        UserRequest::Continue => "is continued: job",
        UserRequest::Input(_) => "is spoken to: job",
    }
}

/// Uses up a request, or returns it to the budget.
fn spend(state: &mut State, wish: UserRequest, by: i8) {
    let budget = match wish {
        UserRequest::Cancel => &mut state.cancels,
        UserRequest::Pause => &mut state.pauses,
        UserRequest::Input(_) => &mut state.remaining_inputs,
        UserRequest::Continue => return,
    };
    *budget = budget.saturating_add_signed(by);
}
