//! Which jobs of a project a reader wants to see.

use crate::id::TicketKey;
use crate::job::{Job, Status};
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// What is asked of each job of a list. What is none, or empty, asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// One of these.
    pub statuses: BTreeSet<Status>,
    /// Of this ticket.
    pub ticket: Option<TicketKey>,
    /// Made at this time or later.
    pub since: Option<Timestamp>,
    /// Made before this time.
    pub until: Option<Timestamp>,
}

impl JobFilter {
    /// It lets through whatever was made in its time: the list's own order finds those.
    pub fn asks_only_when(&self) -> bool {
        self.statuses.is_empty() && self.ticket.is_none()
    }

    /// The job is wanted.
    pub fn takes(&self, job: &Job) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&job.status))
            && self.ticket.as_ref().is_none_or(|ticket| job.ticket.as_ref() == Some(ticket))
            && self.since.is_none_or(|since| since <= job.created)
            && self.until.is_none_or(|until| job.created < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{active, at, key, ready};

    #[test]
    fn each_question_is_asked_alone_and_all_together() {
        let job = active(Status::Executing);
        let all = JobFilter::default();
        assert!(all.takes(&job) && all.asks_only_when());
        let of = |statuses: &[Status]| JobFilter { statuses: statuses.iter().copied().collect(), ..all.clone() };
        assert!(of(&[Status::Failed, Status::Executing]).takes(&job) && !of(&[Status::Failed]).takes(&job));
        let ticket = |ticket| JobFilter { ticket: Some(ticket), ..all.clone() };
        assert!(ticket(key()).takes(&job) && !ticket(TicketKey::new("X-1").unwrap()).takes(&job));
        assert!(!ticket(key()).asks_only_when());
        // Made at 0 s: since is inclusive, until is not.
        let between = |since, until| JobFilter { since: Some(at(since)), until: Some(at(until)), ..all.clone() };
        assert!(between(0, 1).takes(&ready()) && !between(1, 2).takes(&ready()) && !between(0, 0).takes(&ready()));
        let both = JobFilter { ticket: Some(key()), ..of(&[Status::Failed]) };
        assert!(!both.takes(&job));
    }
}
