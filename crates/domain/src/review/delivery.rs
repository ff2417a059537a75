//! The ledger: deliveries and their decisions.

pub use crate::project::Source;
use crate::review::facts::ReviewFacts;
use crate::text::decision::Reason;
use crate::text::id::{DeliveryId, EventId, JobId, ProjectId, ReviewId, TicketKey};
use crate::text::pull_request_id::PullRequestId;
use crate::text::time::Timestamp;
use crate::ticket::Ticket;
use crate::ticket::facts::RecordedFacts;
use serde::{Deserialize, Serialize};

/// A ledger entry. A redelivery replaces the decision, unless it is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub project: ProjectId,
    pub source: Source,
    pub event: EventId,
    pub ticket: Option<TicketKey>,
    /// When it first arrived; repeats keep this time.
    pub at: Timestamp,
    pub reason: Reason,
    pub job: Option<JobId>,
    /// The facts of the decision; `None` for an unreadable call.
    pub facts: Option<RecordedFacts>,
    pub review: Option<ReviewSubject>,
}

impl Delivery {
    /// An entry without a ticket, a job, facts and a review.
    pub fn new(
        id: DeliveryId,
        project: ProjectId,
        source: Source,
        event: EventId,
        at: Timestamp,
        reason: Reason,
    ) -> Self {
        Self { id, project, source, event, ticket: None, at, reason, job: None, facts: None, review: None }
    }

    /// Whether the ticket lacks this move: its last seen event is still the one in the facts, because the process
    /// stopped between the two writes. A final decision is written together with the ticket, and a stale event never
    /// moves a ticket.
    pub fn is_unapplied(&self, ticket: &Ticket) -> bool {
        let moves = !self.reason.is_final() && !matches!(self.reason, Reason::StaleEvent { .. });
        let last_event = self.facts.as_ref().and_then(|facts| facts.seen.as_ref());
        moves && last_event.is_some_and(|(at, event)| *at == ticket.seen_at && *event == ticket.seen_event)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewSubject {
    pub pull_request: PullRequestId,
    pub label: String,
    pub url: String,
    pub review: Option<ReviewId>,
    pub author: String,
    pub facts: Option<Box<ReviewFacts>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{TODO, TRIGGER, event, facts, job_id, key, project_id, ticket_in, time_at};
    use crate::ticket::guard::record_facts;

    /// The stored decision on a move of a ticket in Todo.
    fn decided_delivery(reason: Reason) -> Delivery {
        let event = event("e1", TRIGGER, 500);
        let recorded = record_facts(&event, &facts(Some(ticket_in(TODO))));
        let id = DeliveryId::for_ticket_event(&project_id(), &event.event);
        Delivery {
            ticket: Some(key()),
            facts: Some(recorded),
            ..Delivery::new(id, project_id(), event.source, event.event, time_at(1_000), reason)
        }
    }

    #[test]
    fn delivery_is_unapplied_while_its_ticket_is_unchanged() {
        let off = decided_delivery(Reason::AutoCreateOff { project: project_id() });
        let ticket = ticket_in(TODO);
        assert!(off.is_unapplied(&ticket));
        assert!(!off.is_unapplied(&Ticket { seen_at: time_at(1), ..ticket.clone() }), "a newer event came");
        assert!(!off.is_unapplied(&Ticket { seen_event: None, ..ticket.clone() }));
        assert!(!Delivery { facts: None, ..off }.is_unapplied(&ticket), "it has no facts");
        // An accepted delivery was stored with its ticket, and a stale event changes no ticket.
        assert!(!decided_delivery(Reason::Accepted { job: job_id("j") }).is_unapplied(&ticket));
        assert!(!decided_delivery(Reason::StaleEvent { ticket: key(), time: time_at(5) }).is_unapplied(&ticket));
    }
}
