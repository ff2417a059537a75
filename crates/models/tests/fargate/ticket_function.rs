//! Models the ticket function and effects: a user moves the ticket, and the end of a job is settled.

use super::rules::{ItemVersion, Write};
use super::state::{State, TicketWorker};
use super::table;
use super::world::{NextStates, World, to_u8};
use crate::explore::Step;

/// Indexes into `State::ticket_workers`.
const TICKET_FUNCTION: usize = 0;
const EFFECTS: usize = 1;

impl World {
    /// A move arrives, in any order and any number of times.
    pub(super) fn tickets(&mut self, state: &State, next: &mut NextStates) {
        let TicketWorker::DecidingMove { event, ticket, ledger, then, fresh } = state.ticket_workers[TICKET_FUNCTION]
        else {
            for event in (0..state.deliveries.len())
                .filter(|event| state.deliveries[*event] > 0 && state.now < self.setting.moments.first_without_starts())
            {
                let mut told = *state;
                told.deliveries[event] -= 1;
                let (ticket, ledger, then) = (state.ticket, state.ledger, state.now);
                told.ticket_workers[TICKET_FUNCTION] =
                    TicketWorker::DecidingMove { event: to_u8(event), ticket, ledger, then, fresh: true };
                next.push((Step::new("is told: move", event), told));
            }
            return;
        };
        let (write, answer) = self.rules.decide_move(event, ticket, ledger, then);
        let written = match write {
            Write::Nothing => Some(*state),
            Write::Snapshot => Some(with_ticket(*state, self.rules.with_snapshot(event, state.ticket))),
            Write::Unchanged => {
                self.rules.with_unchanged(event, state.ticket).map(|ticket| with_ticket(*state, ticket))
            }
            Write::Ticket(after) => table::update_ticket(state, after, fresh),
            Write::Trigger(job, after) => table::trigger(state, (job, after), fresh),
        };
        let step = Step::new("is decided: move", usize::from(event));
        // A stale write leads to another read and decision.
        let step = if written.is_some() { step } else { step.with_suffix(": stale") };
        let again = TicketWorker::DecidingMove {
            event,
            ticket: state.ticket,
            ledger: state.ledger,
            then: state.now,
            fresh: true,
        };
        let mut decided = written.unwrap_or(*state);
        decided.ticket_workers[TICKET_FUNCTION] = if written.is_some() { TicketWorker::Idle } else { again };
        if written.is_some() {
            decided.ledger = answer;
        }
        next.push((step, decided));
    }

    /// A message requests that the ticket be settled.
    pub(super) fn effects(&mut self, state: &State, next: &mut NextStates) -> Result<(), String> {
        let TicketWorker::Settling { ticket, ledger, then, fresh } = state.ticket_workers[EFFECTS] else {
            if self.rules.settle_cached(state.ticket, state.ledger, state.now).is_some() {
                let mut read = *state;
                let (ticket, ledger, then) = (state.ticket, state.ledger, state.now);
                read.ticket_workers[EFFECTS] = TicketWorker::Settling { ticket, ledger, then, fresh: true };
                next.push((Step::new("is read to be settled: ticket", 0), read));
            }
            return Ok(());
        };
        let written = match self.rules.settle_cached(ticket, ledger, then) {
            Some(Write::Ticket(after)) => table::update_ticket(state, after, fresh),
            Some(Write::Trigger(job, after)) => table::trigger(state, (job, after), fresh),
            _ => return Err("a ticket was settled otherwise".into()),
        };
        let step = Step::new("is settled: ticket", 0);
        let step = if written.is_some() { step } else { step.with_suffix(": stale") };
        let mut settled = written.unwrap_or(*state);
        settled.ticket_workers[EFFECTS] = TicketWorker::Idle;
        next.push((step, settled));
        Ok(())
    }
}

/// A snapshot is written over any revision, and makes every earlier read of the ticket stale.
fn with_ticket(mut state: State, ticket: ItemVersion) -> State {
    if state.ticket != ticket {
        state.ticket = ticket;
        state.mark_ticket_reads_stale();
    }
    state
}
