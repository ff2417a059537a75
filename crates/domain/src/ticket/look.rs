//! Decides whether a delivery of a ticket tool needs another read of its ticket.

use crate::text::id::{ProjectId, TicketKey};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A look that waits longer is queued again, because its message may be lost. Tools repeat a failed delivery later.
const MAX_WAIT: Duration = Duration::from_secs(50);
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The looks at a ticket: the one that waits in a queue, and the newest delivery that a look has covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketLook {
    pub project: ProjectId,
    pub ticket: TicketKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingLook>,
    /// The time that the tool wrote into the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered: Option<Timestamp>,
    pub at: Timestamp,
    #[serde(default)]
    pub rev: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingLook {
    pub since: Timestamp,
    /// The time in the delivery that requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Timestamp>,
}

impl TicketLook {
    pub fn new(project: ProjectId, ticket: TicketKey, now: Timestamp) -> Self {
        Self { project, ticket, waiting: None, covered: None, at: now, rev: 0 }
    }

    /// The state before a new look is queued. `None`: a look that waits will see the change, or a look has seen it.
    /// `delivery`: the time that the tool wrote into it.
    pub fn request(mut self, delivery: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let is_replay = delivery.is_some_and(|at| self.covered.is_some_and(|covered| at <= covered));
        let is_waiting = self.waiting.as_ref().is_some_and(|look| now.since(look.since) < MAX_WAIT);
        if is_replay || is_waiting {
            return None;
        }
        let delivery = delivery.max(self.waiting.and_then(|look| look.delivery));
        self.waiting = Some(WaitingLook { since: now, delivery });
        Some(Self { at: now, ..self })
    }

    /// The state before the tool is read. A delivery from now on needs another look. `None`: it is unchanged.
    pub fn begin(mut self, now: Timestamp) -> Option<Self> {
        let waiting = self.waiting.take()?;
        Some(Self { covered: self.covered.max(waiting.delivery), at: now, ..self })
    }

    /// The state after the message was not sent.
    pub fn withdraw(self) -> Self {
        Self { waiting: None, ..self }
    }

    pub fn expires_at(&self) -> Timestamp {
        self.at.plus(RETENTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_at(secs: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Duration::from_secs(secs))
    }

    fn new_look() -> TicketLook {
        TicketLook::new(ProjectId::new("acme").unwrap(), TicketKey::new("APP-1").unwrap(), time_at(0))
    }

    #[test]
    fn look_that_waits_is_not_queued_again() {
        let waiting = new_look().request(Some(time_at(1)), time_at(10)).unwrap();
        assert_eq!(waiting.clone().request(Some(time_at(2)), time_at(11)), None);
        assert_eq!(waiting.clone().request(None, time_at(59)), None);
        assert!(waiting.clone().request(None, time_at(60)).is_some(), "its message may be lost");
        assert!(waiting.withdraw().request(Some(time_at(1)), time_at(11)).is_some(), "its message was not sent");
    }

    #[test]
    fn change_after_the_read_began_is_read_again() {
        let begun = new_look().request(Some(time_at(1)), time_at(10)).unwrap().begin(time_at(12)).unwrap();
        assert!(begun.clone().request(Some(time_at(2)), time_at(12)).is_some());
        assert!(begun.clone().request(None, time_at(12)).is_some());
        assert_eq!(begun.begin(time_at(13)), None);
    }

    #[test]
    fn replayed_delivery_causes_no_look() {
        let begun = new_look().request(Some(time_at(5)), time_at(10)).unwrap().begin(time_at(12)).unwrap();
        for delivery in 0..=5 {
            assert_eq!(begun.clone().request(Some(time_at(delivery)), time_at(1_000)), None, "{delivery}");
        }
    }

    #[test]
    fn lost_look_covers_its_delivery_only_by_the_next_one() {
        let lost = new_look().request(Some(time_at(5)), time_at(10)).unwrap();
        let again = lost.request(Some(time_at(4)), time_at(100)).unwrap();
        assert_eq!(again.begin(time_at(101)).unwrap().covered, Some(time_at(5)));
    }
}
