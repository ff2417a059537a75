//! Filters of lists of jobs and ledger entries.

use crate::job::{Job, JobKind, JobStatus};
use crate::review::delivery::{Delivery, ReviewSubject};
use crate::review::pull_request::pull_request_label;
use crate::text::decision::Verdict;
use crate::text::id::{IntegrationId, JobId, RepositoryName, TicketKey};
use crate::text::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    pub kind: Option<JobKind>,
    pub statuses: BTreeSet<JobStatus>,
    pub ticket: Option<TicketKey>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl JobFilter {
    pub fn matches(&self, job: &Job) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&job.status))
            && self.kind.is_none_or(|kind| kind == job.kind)
            && self.ticket.as_ref().is_none_or(|ticket| job.ticket.as_ref() == Some(ticket))
            && self.since.is_none_or(|since| since <= job.created)
            && self.until.is_none_or(|until| job.created < until)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobSearch {
    pub filter: JobFilter,
    pub repository: Option<(IntegrationId, u64)>,
    pub failure: Option<String>,
    pub agent: Option<String>,
    /// Every word must be in the title, or be the ticket's key or the job's id.
    pub words: Vec<String>,
}

/// Shortest end of a job's id that a search finds: the length of the short id.
const MIN_ID_SUFFIX: usize = 4;

impl JobSearch {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a match depends on the job's title or agent, which are stored with its context.
    pub fn needs_text(&self) -> bool {
        self.agent.is_some() || !self.words.is_empty()
    }

    pub fn matches_job(&self, job: &Job) -> bool {
        let is_in_repository =
            |(integration, id): &(IntegrationId, u64)| (integration, *id) == (&job.integration, job.repository);
        let has_failure = |code: &String| job.failure.as_ref().is_some_and(|failure| failure.code() == code);
        self.filter.matches(job)
            && self.repository.as_ref().is_none_or(is_in_repository)
            && self.failure.as_ref().is_none_or(has_failure)
    }

    pub fn matches_text(&self, job: &Job, title: &str, agent: Option<&str>) -> bool {
        let title = title.to_lowercase();
        let is_found = |word: &String| {
            let word = word.to_lowercase();
            let is_key = job.ticket.as_ref().is_some_and(|key| key.as_str().to_lowercase() == word);
            title.contains(&word) || is_key || is_id_or_suffix(&job.id, &word)
        };
        self.agent.as_deref().is_none_or(|wanted| agent == Some(wanted)) && self.words.iter().all(is_found)
    }
}

fn is_id_or_suffix(id: &JobId, word: &str) -> bool {
    word.len() >= MIN_ID_SUFFIX && id.as_str().ends_with(word)
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobTotals {
    pub jobs: usize,
    pub spent_usd_micros: u64,
    pub by_status: BTreeMap<JobStatus, usize>,
}

impl JobTotals {
    pub fn add(&mut self, job: &Job) {
        self.jobs += 1;
        self.spent_usd_micros = self.spent_usd_micros.saturating_add(job.spent_usd_micros);
        *self.by_status.entry(job.status).or_default() += 1;
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub verdicts: BTreeSet<Verdict>,
    pub codes: BTreeSet<String>,
    pub ticket: Option<TicketKey>,
    pub pull_request: Option<PullRequestFilter>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestFilter {
    /// `None` matches any repository.
    pub repository: Option<RepositoryName>,
    pub number: u64,
}

impl DeliveryFilter {
    pub fn is_time_range_only(&self) -> bool {
        self.verdicts.is_empty() && self.is_by_verdict_only()
    }

    /// Whether most entries may match, because only verdicts restrict them.
    pub fn is_by_verdict_only(&self) -> bool {
        self.codes.is_empty() && self.ticket.is_none() && self.pull_request.is_none()
    }

    pub fn matches(&self, delivery: &Delivery) -> bool {
        (self.verdicts.is_empty() || self.verdicts.contains(&delivery.reason.verdict()))
            && (self.codes.is_empty() || self.codes.contains(delivery.reason.code()))
            && self.ticket.as_ref().is_none_or(|ticket| delivery.ticket.as_ref() == Some(ticket))
            && self
                .pull_request
                .as_ref()
                .is_none_or(|filter| delivery.review.as_ref().is_some_and(|subject| filter.matches(subject)))
            && self.since.is_none_or(|since| since <= delivery.at)
            && self.until.is_none_or(|until| delivery.at < until)
    }
}

impl PullRequestFilter {
    fn matches(&self, subject: &ReviewSubject) -> bool {
        match &self.repository {
            Some(name) => pull_request_label(Some(name), self.number).eq_ignore_ascii_case(&subject.label),
            None => self.number == subject.pull_request.number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{active, crash_failure, event_id, key, project_id, ready_job, time_at};
    use crate::review::delivery::Source;
    use crate::text::decision::Reason;
    use crate::text::id::{DeliveryId, IntegrationId, ReviewId};
    use crate::text::pull_request_id::PullRequestId;

    #[test]
    fn job_filters_work_alone_and_combined() {
        let job = active(JobStatus::Executing);
        let all = JobFilter::default();
        assert!(all.matches(&job));
        let of = |statuses: &[JobStatus]| JobFilter { statuses: statuses.iter().copied().collect(), ..all.clone() };
        assert!(
            of(&[JobStatus::Failed, JobStatus::Executing]).matches(&job) && !of(&[JobStatus::Failed]).matches(&job)
        );
        let ticket = |ticket| JobFilter { ticket: Some(ticket), ..all.clone() };
        assert!(ticket(key()).matches(&job) && !ticket(TicketKey::new("X-1").unwrap()).matches(&job));
        // Created at 0 s: `since` is inclusive, `until` is not.
        let between =
            |since, until| JobFilter { since: Some(time_at(since)), until: Some(time_at(until)), ..all.clone() };
        assert!(
            between(0, 1).matches(&ready_job())
                && !between(1, 2).matches(&ready_job())
                && !between(0, 0).matches(&ready_job())
        );
        let both = JobFilter { ticket: Some(key()), ..of(&[JobStatus::Failed]) };
        assert!(!both.matches(&job));
    }

    #[test]
    fn job_search_finds_words_keys_ids_and_agents() {
        let job = active(JobStatus::Executing);
        let short = job.id.short();
        let check = |words: &[&str], agent: Option<&str>, expected: bool| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let search = JobSearch { words, agent: agent.map(str::to_owned), ..JobSearch::default() };
            assert_eq!(search.matches_text(&job, "Fix the Export", Some("codex")), expected, "{search:?}");
        };
        for (words, expected) in [
            (&["export"][..], true),
            (&["EXPORT", "fix"], true),
            (&["export", "import"], false),
            (&[key().as_str()], true),
            (&[&key().as_str()[..2]], false),
            (&[short.as_str()], true),
            (&[job.id.as_str()], true),
            (&[&short[1..]], false),
        ] {
            check(words, None, expected);
        }
        check(&[], Some("codex"), true);
        check(&["fix"], Some("command"), false);
    }

    #[test]
    fn job_search_compares_connection_and_repository() {
        let job = ready_job();
        let of = |integration: &IntegrationId, id| JobSearch {
            repository: Some((integration.clone(), id)),
            ..JobSearch::default()
        };
        let other = IntegrationId::new("other").unwrap();
        assert!(of(&job.integration, job.repository).matches_job(&job));
        assert!(!of(&job.integration, job.repository + 1).matches_job(&job));
        assert!(!of(&other, job.repository).matches_job(&job));
        assert!(JobSearch::default().is_empty() && !of(&other, 1).is_empty());
    }

    #[test]
    fn job_search_finds_a_failure_by_its_code() {
        let failed = Job { status: JobStatus::Failed, failure: Some(crash_failure()), ..ready_job() };
        let by = |code: &str| JobSearch { failure: Some(code.to_owned()), ..JobSearch::default() };
        assert!(by(crash_failure().code()).matches_job(&failed) && !by("no_changes").matches_job(&failed));
        assert!(!by(crash_failure().code()).matches_job(&ready_job()));
    }

    #[test]
    fn totals_count_jobs_and_money_by_status() {
        let mut totals = JobTotals::default();
        for (status, spent_usd_micros) in [(JobStatus::Failed, 1), (JobStatus::Failed, 2), (JobStatus::Ready, 0)] {
            totals.add(&Job { status, spent_usd_micros, ..ready_job() });
        }
        assert_eq!((totals.jobs, totals.spent_usd_micros), (3, 3));
        assert_eq!(totals.by_status, [(JobStatus::Failed, 2), (JobStatus::Ready, 1)].into());
    }

    #[test]
    fn delivery_filter_matches_each_field() {
        let entry = held_review();
        let all = DeliveryFilter::default();
        assert!(all.matches(&entry) && all.is_time_range_only());
        let verdict = |verdict| DeliveryFilter { verdicts: [verdict].into(), ..all.clone() };
        assert!(verdict(Verdict::Held).matches(&entry) && !verdict(Verdict::Refused).matches(&entry));
        let code = |code: &str| DeliveryFilter { codes: [code.to_owned()].into(), ..all.clone() };
        assert!(code("held_with_others").matches(&entry) && !code("held_for_job").matches(&entry));
        let ticket = |ticket: &str| DeliveryFilter { ticket: TicketKey::new(ticket).ok(), ..all.clone() };
        assert!(ticket("APP-17").matches(&entry) && !ticket("APP-18").matches(&entry));
        let pull_request = |repository: Option<&str>, number| {
            let repository = repository.map(|name| RepositoryName::new(name).unwrap());
            DeliveryFilter { pull_request: Some(PullRequestFilter { repository, number }), ..all.clone() }
        };
        for (repository, number) in [(None, 7), (Some("acme/app"), 7), (Some("Acme/App"), 7)] {
            assert!(pull_request(repository, number).matches(&entry), "{repository:?} {number}");
        }
        for (repository, number) in [(None, 8), (Some("acme/app"), 8), (Some("acme/ap"), 7)] {
            assert!(!pull_request(repository, number).matches(&entry), "{repository:?} {number}");
        }
        assert!(!pull_request(None, 7).matches(&Delivery { review: None, ..entry.clone() }));
        let between =
            |since, until| DeliveryFilter { since: Some(time_at(since)), until: Some(time_at(until)), ..all.clone() };
        assert!(between(0, 1).matches(&entry) && !between(1, 2).matches(&entry) && !between(0, 0).matches(&entry));
        assert!(between(0, 1).is_time_range_only());
        for more in [verdict(Verdict::Held), code("held_with_others"), ticket("APP-17"), pull_request(None, 7)] {
            assert!(!more.is_time_range_only(), "{more:?}");
        }
        assert!(!DeliveryFilter { verdicts: [Verdict::Refused].into(), ..ticket("APP-17") }.matches(&entry));
    }

    fn held_review() -> Delivery {
        let pull_request = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number: 7 };
        let review = ReviewId::new("12").unwrap();
        let id = DeliveryId::for_review(&project_id(), &pull_request, &review);
        let reason = Reason::HeldWithOthers { pr: "acme/app#7".into() };
        Delivery {
            ticket: Some(key()),
            review: Some(ReviewSubject {
                label: pull_request_label(RepositoryName::new("acme/app").ok().as_ref(), 7),
                url: "https://forge.test/acme/app/pull/7".into(),
                pull_request,
                review: Some(review),
                author: "bo".into(),
                facts: None,
            }),
            ..Delivery::new(id, project_id(), Source::Webhook, event_id("d1"), time_at(0), reason)
        }
    }
}
