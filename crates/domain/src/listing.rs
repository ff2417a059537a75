//! Filters of lists of jobs and ledger entries.

use crate::decision::Verdict;
use crate::delivery::{Delivery, ReviewSubject};
use crate::id::{RepositoryName, TicketKey};
use crate::job::{Job, Status};
use crate::pull_request::label;
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// A filter of jobs. Empty fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    pub statuses: BTreeSet<Status>,
    pub ticket: Option<TicketKey>,
    /// Created at this time or later.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl JobFilter {
    /// Whether the filter only limits the time, which the order of the list supports directly.
    pub fn asks_only_when(&self) -> bool {
        self.statuses.is_empty() && self.ticket.is_none()
    }

    pub fn takes(&self, job: &Job) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&job.status))
            && self.ticket.as_ref().is_none_or(|ticket| job.ticket.as_ref() == Some(ticket))
            && self.since.is_none_or(|since| since <= job.created)
            && self.until.is_none_or(|until| job.created < until)
    }
}

/// A filter of ledger entries. Empty fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub verdicts: BTreeSet<Verdict>,
    pub codes: BTreeSet<String>,
    pub ticket: Option<TicketKey>,
    pub pull_request: Option<PullRequestMeant>,
    /// At this time or later.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestMeant {
    /// `None` matches any repository.
    pub repository: Option<RepositoryName>,
    pub number: u64,
}

impl DeliveryFilter {
    pub fn asks_only_when(&self) -> bool {
        self.verdicts.is_empty() && self.codes.is_empty() && self.ticket.is_none() && self.pull_request.is_none()
    }

    pub fn takes(&self, delivery: &Delivery) -> bool {
        (self.verdicts.is_empty() || self.verdicts.contains(&delivery.reason.verdict()))
            && (self.codes.is_empty() || self.codes.contains(delivery.reason.code()))
            && self.ticket.as_ref().is_none_or(|ticket| delivery.ticket.as_ref() == Some(ticket))
            && self.pull_request.as_ref().is_none_or(|meant| delivery.review.as_ref().is_some_and(|of| meant.is(of)))
            && self.since.is_none_or(|since| since <= delivery.at)
            && self.until.is_none_or(|until| delivery.at < until)
    }
}

impl PullRequestMeant {
    fn is(&self, of: &ReviewSubject) -> bool {
        match &self.repository {
            Some(name) => label(Some(name), self.number).eq_ignore_ascii_case(&of.label),
            None => self.number == of.pull_request.number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Reason;
    use crate::delivery::Source;
    use crate::id::{DeliveryId, IntegrationId, ReviewId};
    use crate::pull_request_id::PullRequestId;
    use crate::story::{active, at, event_id, key, project_id, ready};

    #[test]
    fn job_filters_work_alone_and_combined() {
        let job = active(Status::Executing);
        let all = JobFilter::default();
        assert!(all.takes(&job) && all.asks_only_when());
        let of = |statuses: &[Status]| JobFilter { statuses: statuses.iter().copied().collect(), ..all.clone() };
        assert!(of(&[Status::Failed, Status::Executing]).takes(&job) && !of(&[Status::Failed]).takes(&job));
        let ticket = |ticket| JobFilter { ticket: Some(ticket), ..all.clone() };
        assert!(ticket(key()).takes(&job) && !ticket(TicketKey::new("X-1").unwrap()).takes(&job));
        assert!(!ticket(key()).asks_only_when());
        // Created at 0 s: `since` is inclusive, `until` is not.
        let between = |since, until| JobFilter { since: Some(at(since)), until: Some(at(until)), ..all.clone() };
        assert!(between(0, 1).takes(&ready()) && !between(1, 2).takes(&ready()) && !between(0, 0).takes(&ready()));
        let both = JobFilter { ticket: Some(key()), ..of(&[Status::Failed]) };
        assert!(!both.takes(&job));
    }

    #[test]
    fn delivery_filter_matches_each_field() {
        let entry = held_review();
        let all = DeliveryFilter::default();
        assert!(all.takes(&entry) && all.asks_only_when());
        let verdict = |verdict| DeliveryFilter { verdicts: [verdict].into(), ..all.clone() };
        assert!(verdict(Verdict::Held).takes(&entry) && !verdict(Verdict::Refused).takes(&entry));
        let code = |code: &str| DeliveryFilter { codes: [code.to_owned()].into(), ..all.clone() };
        assert!(code("held_with_others").takes(&entry) && !code("held_for_job").takes(&entry));
        let ticket = |ticket: &str| DeliveryFilter { ticket: TicketKey::new(ticket).ok(), ..all.clone() };
        assert!(ticket("APP-17").takes(&entry) && !ticket("APP-18").takes(&entry));
        let meant = |repository: Option<&str>, number| {
            let repository = repository.map(|name| RepositoryName::new(name).unwrap());
            DeliveryFilter { pull_request: Some(PullRequestMeant { repository, number }), ..all.clone() }
        };
        for (repository, number) in [(None, 7), (Some("acme/app"), 7), (Some("Acme/App"), 7)] {
            assert!(meant(repository, number).takes(&entry), "{repository:?} {number}");
        }
        for (repository, number) in [(None, 8), (Some("acme/app"), 8), (Some("acme/ap"), 7)] {
            assert!(!meant(repository, number).takes(&entry), "{repository:?} {number}");
        }
        assert!(!meant(None, 7).takes(&Delivery { review: None, ..entry.clone() }));
        let between = |since, until| DeliveryFilter { since: Some(at(since)), until: Some(at(until)), ..all.clone() };
        assert!(between(0, 1).takes(&entry) && !between(1, 2).takes(&entry) && !between(0, 0).takes(&entry));
        assert!(between(0, 1).asks_only_when());
        for more in [verdict(Verdict::Held), code("held_with_others"), ticket("APP-17"), meant(None, 7)] {
            assert!(!more.asks_only_when(), "{more:?}");
        }
        assert!(!DeliveryFilter { verdicts: [Verdict::Refused].into(), ..ticket("APP-17") }.takes(&entry));
    }

    fn held_review() -> Delivery {
        let pull_request = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number: 7 };
        let review = ReviewId::new("12").unwrap();
        Delivery {
            id: DeliveryId::of_review(&project_id(), &pull_request, &review),
            project: project_id(),
            source: Source::Webhook,
            event: event_id("d1"),
            ticket: Some(key()),
            at: at(0),
            reason: Reason::HeldWithOthers { pr: "acme/app#7".into() },
            job: None,
            facts: None,
            review: Some(ReviewSubject {
                label: label(RepositoryName::new("acme/app").ok().as_ref(), 7),
                url: "https://forge.test/acme/app/pull/7".into(),
                pull_request,
                review: Some(review),
                author: "bo".into(),
                facts: None,
            }),
            seen: Vec::new(),
        }
    }
}
