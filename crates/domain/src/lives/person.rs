//! A person who cancels.

use super::rules::{Change, Outcome};
use super::state::{Cancelling, LATER, State};
use super::table::{self, Ending, Write};
use super::world::{Next, World, push_written, small};
use crate::explore::Step;

impl World {
    pub(super) fn person(&mut self, state: &State, next: &mut Next) -> Result<(), String> {
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
}
