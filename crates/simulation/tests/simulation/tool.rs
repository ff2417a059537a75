//! Simulates the ticket tool: users move tickets, and its events arrive late, twice and out of order.

use crate::plane::Ask;
use pullyard_domain::time::Timestamp;
use pullyard_testkit::Dice;
use serde_json::json;

const STATUSES: [&str; 3] = ["AI Processing", "Todo", "Backlog"];

#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) event: String,
    pub(crate) ticket: String,
    pub(crate) status: String,
    at: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Tool {
    statuses: Vec<&'static str>,
    events: Vec<Told>,
    /// Indexes of the events still to send.
    waiting: Vec<usize>,
    left: usize,
}

impl Tool {
    pub(crate) fn new(tickets: usize, changes: usize) -> Self {
        Self { statuses: vec!["Backlog"; tickets], events: vec![], waiting: vec![], left: changes }
    }

    pub(crate) fn may_change(&self) -> bool {
        self.left > 0
    }

    pub(crate) fn may_tell(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A user moves or edits a random ticket. `twice` is the percentage of doubled events.
    pub(crate) fn change(&mut self, now: Timestamp, twice: u64, dice: &mut Dice) -> String {
        self.left -= 1;
        let at = dice.below(self.statuses.len());
        // Mostly into the trigger status. An unchanged status is an edit.
        let moved = [70, 20, 10];
        if dice.percent(90)
            && let Some(to) = dice.weighted(&moved)
        {
            self.statuses[at] = STATUSES[to];
        }
        let event = format!("evt-{}", self.events.len() + 1);
        let (ticket, status) = (format!("T-{}", at + 1), self.statuses[at].to_owned());
        let said = format!("{event}: {ticket} is in {status}");
        self.waiting.push(self.events.len());
        if dice.percent(twice) {
            self.waiting.push(self.events.len());
        }
        self.events.push(Told { event, ticket, status, at: now });
        said
    }

    /// Takes a waiting event; returns its index and its request.
    pub(crate) fn tell(&mut self, token: &str, dice: &mut Dice) -> (usize, Ask) {
        // Mostly in order.
        let at = if dice.percent(70) { 0 } else { dice.below(self.waiting.len()) };
        let number = self.waiting.remove(at);
        let told = &self.events[number];
        let body = json!({
            "event_id": told.event, "occurred_at": told.at.to_string(), "project": "acme", "actor": "ana",
            "previous_status": null,
            "ticket": {
                "key": told.ticket, "title": format!("About {}", told.ticket), "description": "Do it.",
                "status": told.status, "labels": [], "url": null, "repository": null,
            },
        });
        (number, Ask::post("/v1/tickets/events", token, body))
    }

    /// An event without an answer is sent again.
    pub(crate) fn again(&mut self, number: usize) {
        self.waiting.push(number);
    }

    pub(crate) fn newest(&self, ticket: &str) -> Option<Told> {
        self.events.iter().filter(|told| told.ticket == ticket).max_by_key(|told| told.at).cloned()
    }

    pub(crate) fn told(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(|told| told.event.as_str())
    }
}
