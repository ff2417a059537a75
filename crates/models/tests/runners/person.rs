//! Models a user who cancels, pauses and resumes a job and sends inputs to its agent.

use super::rules::{Change, Outcome};
use super::state::{State, Wish, Wishing};
use super::table::{self, Ending, Write};
use super::world::{Next, World, small};
use crate::explore::Step;
use pullyard_domain::job::{DesiredState, JobStatus};

impl World {
    pub(super) fn person(&mut self, state: &State, next: &mut Next) -> Result<(), String> {
        let Some(Wishing { wish, job, value, ticket, then, fresh }) = state.wishing else {
            let open = state.now < self.setting.moments.later();
            for job in (0..self.setting.jobs).filter(|_| open) {
                self.wishes(state, job, next);
            }
            return Ok(());
        };
        let Outcome::Becomes(after) = self.rules.change(Change::Person(wish), value, then) else {
            return Err("a wish was decided otherwise".into());
        };
        // An active job is written alone, because its runner holds it; any other is written with runner and ticket.
        let written: Write = if self.rules.job(after).status.is_active() {
            Ok(table::update_job(state, job, after, fresh, &self.setting))
        } else {
            let ending = Ending { job, before: value, after, ticket, fresh, proof: None };
            table::end(state, ending, &mut self.rules, &self.setting)
        };
        let at = usize::from(job);
        let stood = matches!(self.rules.job(value).status, JobStatus::AwaitingInput | JobStatus::Paused);
        let step = Step::of(name(wish), at);
        let Some(mut written) = written? else {
            let mut stale = *state;
            stale.wishing = None;
            spend(&mut stale, wish, 1);
            next.push((step.but(": stale"), stale));
            return Ok(());
        };
        written.wishing = None;
        match wish {
            Wish::Pause => written.wants_pause[at] = true,
            Wish::Cancel | Wish::Continue => written.wants_pause[at] = false,
            Wish::Say(what) => {
                written.said[at] |= 1 << what;
                written.wants_pause[at] &= !stood;
            }
        }
        if written.faults > 0 && matches!(wish, Wish::Say(_)) {
            let mut lost = State { faults: written.faults - 1, ..written };
            spend(&mut lost, wish, 1);
            next.push((step.but(": answer lost"), lost));
        }
        next.push((step, written));
        Ok(())
    }

    /// The requests that a user may send for this job now.
    fn wishes(&mut self, state: &State, job: usize, next: &mut Next) {
        let says = self.setting.says - state.says;
        let may = [
            (Wish::Cancel, state.cancels > 0),
            (Wish::Pause, state.pauses > 0),
            (Wish::Continue, self.setting.pauses > 0 && self.is_halted(state, job)),
            (Wish::Say(says), state.says > 0),
        ];
        for (wish, _) in may.into_iter().filter(|(_, may)| *may) {
            let known = matches!(wish, Wish::Say(what) if state.said[job] & 1 << what != 0);
            let mut asked = *state;
            spend(&mut asked, wish, -1);
            if known {
                next.push((Step::of("is told that it was said: job", job), asked));
                continue;
            }
            let (value, ticket, then) = (state.jobs[job], state.tickets[job], state.now);
            if matches!(self.rules.change(Change::Person(wish), value, then), Outcome::Becomes(_)) {
                asked.wishing = Some(Wishing { wish, job: small(job), value, ticket, then, fresh: true });
                next.push((Step::of("is read for a wish: job", job), asked));
            }
        }
    }

    fn is_halted(&self, state: &State, job: usize) -> bool {
        let job = self.rules.job(state.jobs[job]);
        job.status == JobStatus::Paused || job.want == DesiredState::Pause
    }
}

fn name(wish: Wish) -> &'static str {
    match wish {
        Wish::Cancel => "is cancelled: job",
        Wish::Pause => "is paused: job",
        Wish::Continue => "is continued: job",
        Wish::Say(_) => "is spoken to: job",
    }
}

/// Uses up a request, or returns it to the budget.
fn spend(state: &mut State, wish: Wish, by: i8) {
    let left = match wish {
        Wish::Cancel => &mut state.cancels,
        Wish::Pause => &mut state.pauses,
        Wish::Say(_) => &mut state.says,
        Wish::Continue => return,
    };
    *left = left.saturating_add_signed(by);
}
