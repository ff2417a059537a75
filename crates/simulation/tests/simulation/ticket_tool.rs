//! Simulates the ticket tool: users move tickets, and its events arrive late, twice and out of order.

use crate::prelude::*;

const STATUSES: [&str; 3] = ["AI Processing", "Todo", "Backlog"];

#[derive(Clone, Debug)]
pub(crate) struct TicketChange {
    pub(crate) event: String,
    pub(crate) ticket: String,
    pub(crate) status: String,
    at: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Tool {
    statuses: Vec<&'static str>,
    events: Vec<TicketChange>,
    /// Indexes of the events still to send.
    pending_events: Vec<usize>,
    remaining_changes: usize,
}

impl Tool {
    pub(crate) fn new(tickets: usize, changes: usize) -> Self {
        Self { statuses: vec!["Backlog"; tickets], events: vec![], pending_events: vec![], remaining_changes: changes }
    }

    pub(crate) fn may_change(&self) -> bool {
        self.remaining_changes > 0
    }

    pub(crate) fn has_pending_event(&self) -> bool {
        !self.pending_events.is_empty()
    }

    /// A user moves or edits a random ticket. `twice` is the percentage of doubled events.
    pub(crate) fn change(&mut self, now: Timestamp, twice: u64, dice: &mut SeededRng) -> String {
        self.remaining_changes -= 1;
        let at = dice.below(self.statuses.len());
        // Mostly into the trigger status. An unchanged status is an edit.
        let moved = [70, 20, 10];
        if dice.percent(90)
            && let Some(to) = dice.choose_weighted(&moved)
        {
            self.statuses[at] = STATUSES[to];
        }
        let event = format!("evt-{}", self.events.len() + 1);
        let (ticket, status) = (format!("T-{}", at + 1), self.statuses[at].to_owned());
        let message = format!("{event}: {ticket} is in {status}");
        self.pending_events.push(self.events.len());
        if dice.percent(twice) {
            self.pending_events.push(self.events.len());
        }
        self.events.push(TicketChange { event, ticket, status, at: now });
        message
    }

    /// Takes a waiting event; returns its index and its request.
    pub(crate) fn take_event(&mut self, token: &str, dice: &mut SeededRng) -> (usize, ApiCall) {
        // Mostly in order.
        let at = if dice.percent(70) { 0 } else { dice.below(self.pending_events.len()) };
        let number = self.pending_events.remove(at);
        let change = &self.events[number];
        let body = json!({
            "event_id": change.event, "occurred_at": change.at.to_string(), "project": "acme", "actor": "ana",
            "previous_status": null,
            "ticket": {
                "key": change.ticket, "title": format!("About {}", change.ticket), "description": "Do it.",
                "status": change.status, "labels": [], "url": null, "repository": null,
            },
        });
        (number, ApiCall::post("/v1/tickets/events", token, body))
    }

    /// An event without an answer is sent again.
    pub(crate) fn resend(&mut self, number: usize) {
        self.pending_events.push(number);
    }

    pub(crate) fn newest(&self, ticket: &str) -> Option<TicketChange> {
        self.events.iter().filter(|change| change.ticket == ticket).max_by_key(|change| change.at).cloned()
    }

    pub(crate) fn event_ids(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(|change| change.event.as_str())
    }
}
