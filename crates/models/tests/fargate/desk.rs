//! Models the ticket function and effects: a user moves the ticket, and the end of a job is settled.

use super::rules::{Value, Write};
use super::state::{Desk, State};
use super::table;
use super::world::{Next, World, small};
use crate::explore::Step;

/// Indexes into `State::desks`.
const TOLD: usize = 0;
const EFFECTS: usize = 1;

impl World {
    /// A move arrives, in any order and any number of times.
    pub(super) fn tickets(&mut self, state: &State, next: &mut Next) {
        let Desk::Told { event, ticket, ledger, then, fresh } = state.desks[TOLD] else {
            for event in (0..state.tellings.len())
                .filter(|event| state.tellings[*event] > 0 && state.now < self.setting.moments.later())
            {
                let mut told = *state;
                told.tellings[event] -= 1;
                let (ticket, ledger, then) = (state.ticket, state.ledger, state.now);
                told.desks[TOLD] = Desk::Told { event: small(event), ticket, ledger, then, fresh: true };
                next.push((Step::of("is told: move", event), told));
            }
            return;
        };
        let (write, answer) = self.rules.told(event, ticket, ledger, then);
        let written = match write {
            Write::Nothing => Some(*state),
            Write::Snapshot => Some(with_ticket(*state, self.rules.with_snapshot(event, state.ticket))),
            Write::Unchanged => {
                self.rules.with_unchanged(event, state.ticket).map(|ticket| with_ticket(*state, ticket))
            }
            Write::Ticket(after) => table::update_ticket(state, after, fresh),
            Write::Trigger(job, after) => table::trigger(state, (job, after), fresh),
        };
        let step = Step::of("is decided: move", usize::from(event));
        // A stale write leads to another read and decision.
        let step = if written.is_some() { step } else { step.but(": stale") };
        let again = Desk::Told { event, ticket: state.ticket, ledger: state.ledger, then: state.now, fresh: true };
        let mut decided = written.unwrap_or(*state);
        decided.desks[TOLD] = if written.is_some() { Desk::Idle } else { again };
        if written.is_some() {
            decided.ledger = answer;
        }
        next.push((step, decided));
    }

    /// A message requests that the ticket be settled.
    pub(super) fn effects(&mut self, state: &State, next: &mut Next) -> Result<(), String> {
        let Desk::Settles { ticket, ledger, then, fresh } = state.desks[EFFECTS] else {
            if self.rules.settled(state.ticket, state.ledger, state.now).is_some() {
                let mut read = *state;
                let (ticket, ledger, then) = (state.ticket, state.ledger, state.now);
                read.desks[EFFECTS] = Desk::Settles { ticket, ledger, then, fresh: true };
                next.push((Step::of("is read to be settled: ticket", 0), read));
            }
            return Ok(());
        };
        let written = match self.rules.settled(ticket, ledger, then) {
            Some(Write::Ticket(after)) => table::update_ticket(state, after, fresh),
            Some(Write::Trigger(job, after)) => table::trigger(state, (job, after), fresh),
            _ => return Err("a ticket was settled otherwise".into()),
        };
        let step = Step::of("is settled: ticket", 0);
        let step = if written.is_some() { step } else { step.but(": stale") };
        let mut settled = written.unwrap_or(*state);
        settled.desks[EFFECTS] = Desk::Idle;
        next.push((step, settled));
        Ok(())
    }
}

/// A snapshot is written over any revision, and makes every earlier read of the ticket stale.
fn with_ticket(mut state: State, ticket: Value) -> State {
    if state.ticket != ticket {
        state.ticket = ticket;
        state.wrote_ticket();
    }
    state
}
