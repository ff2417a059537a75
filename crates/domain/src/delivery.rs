//! The ledger: what came in, what was decided, from which facts.

use crate::decision::Reason;
use crate::facts::Recorded;
use crate::id::{DeliveryId, EventId, JobId, ProjectId, ReviewId, TicketKey};
use crate::pull_request_id::PullRequestId;
use crate::review::guard::ReviewFacts;
use crate::ticket::Ticket;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How many later arrivals of the same delivery are noted one by one.
pub const MOST_SEEN: usize = 20;

/// One ledger entry. Final answers never change; others are replaced when the delivery is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Which.
    pub id: DeliveryId,
    /// Whose.
    pub project: ProjectId,
    /// Where it came from.
    pub source: Source,
    /// What its sender calls it.
    pub event: EventId,
    /// What it is about.
    pub ticket: Option<TicketKey>,
    /// When it came first.
    pub at: Timestamp,
    /// The answer.
    pub reason: Reason,
    /// The job it made.
    pub job: Option<JobId>,
    /// What was decided from; none for what could not be read.
    pub facts: Option<Recorded>,
    /// The pull request it is about, and which review or request of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewSubject>,
    /// When it came again; capped.
    pub seen: Vec<Timestamp>,
}

impl Delivery {
    /// The ledger has the move and the ticket has not: nothing was told of it since its facts were read, and whoever
    /// decided it was stopped before the ticket was written. What is final is one write with the ticket, and a stale
    /// move moves nothing.
    pub fn is_unknown_to(&self, ticket: &Ticket) -> bool {
        let moves = !self.reason.is_final() && !matches!(self.reason, Reason::StaleEvent { .. });
        let seen = self.facts.as_ref().and_then(|facts| facts.seen.as_ref());
        moves && seen.is_some_and(|(at, event)| *at == ticket.seen_at && *event == ticket.seen_event)
    }
}

/// A review that a ledger entry is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewSubject {
    /// Of which pull request.
    pub pull_request: PullRequestId,
    /// The pull request as people name it.
    pub label: String,
    /// Its page.
    pub url: String,
    /// Which review or request; none for what tells of the pull request itself.
    pub review: Option<ReviewId>,
    /// Who wrote it.
    pub author: String,
    /// What was decided from.
    pub facts: Option<Box<ReviewFacts>>,
}

/// Where a delivery came from.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The ticket tool called.
    TicketTool,
    /// Somebody moved or edited a ticket on the built-in board.
    Board,
    /// Somebody asked for a job.
    Person,
    /// A forge called one of our webhooks.
    Webhook,
    /// It was found by asking the forge.
    Poll,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::record;
    use crate::story::{TODO, TRIGGER, at, event, facts, job_id, key, project_id, ticket_in};

    /// The answer to a move of a ticket that stood in Todo.
    fn answered(reason: Reason) -> Delivery {
        let event = event("e1", TRIGGER, 500);
        let recorded = record(&event, &facts(Some(ticket_in(TODO))));
        Delivery {
            id: DeliveryId::of_ticket_event(&project_id(), &event.event),
            project: project_id(),
            source: event.source,
            event: event.event,
            ticket: Some(key()),
            at: at(1_000),
            reason,
            job: None,
            facts: Some(recorded),
            review: None,
            seen: Vec::new(),
        }
    }

    #[test]
    fn a_move_is_still_to_be_made_while_its_ticket_is_as_it_was_decided_from() {
        let off = answered(Reason::AutoCreateOff { project: project_id() });
        let ticket = ticket_in(TODO);
        assert!(off.is_unknown_to(&ticket));
        assert!(!off.is_unknown_to(&Ticket { seen_at: at(1), ..ticket.clone() }), "it was told of since");
        assert!(!off.is_unknown_to(&Ticket { seen_event: None, ..ticket.clone() }));
        assert!(!Delivery { facts: None, ..off }.is_unknown_to(&ticket), "it could not be read");
        // What made a job was stored with its ticket, and what is stale moves nothing.
        assert!(!answered(Reason::Accepted { job: job_id("j") }).is_unknown_to(&ticket));
        assert!(!answered(Reason::StaleEvent { ticket: key(), time: at(5) }).is_unknown_to(&ticket));
    }
}
