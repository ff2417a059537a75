//! The reviews of a pull request by agents, as its item lists them.

use crate::job::{Job, JobStatus};
use crate::project::ReviewWhen;
use crate::review::output::{PostedReview, ReviewCounts};
use crate::text::id::JobId;
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Older reviews are counted, but not listed.
const MAX_LISTED_REVIEWS: usize = 10;

/// After this number of reviews of new commits only, the whole change is reviewed again.
const MAX_PARTIAL_REVIEWS: usize = 4;

/// Time without a further commit before an automatic review starts, so that quick pushes cost one review.
const REVIEW_DELAY: Duration = Duration::from_secs(120);

/// Least time between the starts of two automatic reviews.
const REVIEW_WINDOW: Duration = Duration::from_secs(600);

/// Automatic reviews of a pull request in [`DAY`].
const MAX_REVIEWS_PER_DAY: usize = 10;

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentReviews {
    /// The job that reviews the pull request now. There is one at a time.
    pub active_job: Option<JobId>,
    /// Newest first, at most [`MAX_LISTED_REVIEWS`].
    pub ended: Vec<EndedReview>,
    /// Number of all ended reviews.
    pub count: u32,
    /// Cost of all ended reviews. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
    #[serde(default)]
    pub automatic: AutomaticReviews,
}

/// The reviews that no user requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomaticReviews {
    /// When a review of `head` may start. A further commit delays it.
    pub wanted: Option<Timestamp>,
    /// The newest commit for which a review was wanted, or a prefix of its id: there is one review per commit.
    pub head: String,
    /// The newest starts, newest first, at most [`MAX_REVIEWS_PER_DAY`].
    pub starts: Vec<Timestamp>,
}

impl AutomaticReviews {
    /// Nothing to review for now. The same commit may be wanted later.
    pub fn forget(&mut self) {
        self.wanted = None;
        self.head.clear();
    }
}

/// The reason to review the newest commit of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitNews {
    /// The pull request was opened recently.
    Opened,
    /// The commit was not the newest before.
    Pushed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedReview {
    pub job: JobId,
    pub at: Timestamp,
    pub status: JobStatus,
    pub spent_usd_micros: u64,
    /// Absent if the job did not complete.
    pub posted: Option<ReviewedCommit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewedCommit {
    pub head: String,
    /// The branch that the pull request targeted.
    #[serde(default)]
    pub base: String,
    /// The commit after which the review began; absent for one of the whole change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(flatten)]
    pub counts: ReviewCounts,
}

impl AgentReviews {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this job reviews the pull request, or is a listed review of it.
    pub fn names(&self, job: &JobId) -> bool {
        self.active_job.as_ref() == Some(job) || self.ended.iter().any(|review| review.job == *job)
    }

    /// The newest completed review. Only such a review counts as one of its commit.
    pub fn last_posted(&self) -> Option<(&JobId, &ReviewedCommit)> {
        self.ended.iter().find_map(|review| Some((&review.job, review.posted.as_ref()?)))
    }

    /// The commit after which the next review begins. `None` for the whole change: without a review of this base
    /// branch, or after many reviews of new commits only.
    pub fn next_since(&self, base: &str) -> Option<&str> {
        let completed: Vec<_> = self.ended.iter().filter_map(|review| review.posted.as_ref()).collect();
        let last = completed.first().filter(|last| last.base == base)?;
        let is_whole_recent = completed.iter().take(MAX_PARTIAL_REVIEWS).any(|review| review.since.is_none());
        is_whole_recent.then_some(last.head.as_str())
    }

    /// Schedules a review of the newest commit, if the setting wants one.
    pub fn want(&mut self, when: ReviewWhen, news: CommitNews, head: &str, now: Timestamp) {
        if head.is_empty() || is_same_commit(&self.automatic.head, head) {
            return;
        }
        let is_first = self.count == 0 && self.active_job.is_none();
        let applies = match when {
            ReviewWhen::Asked => false,
            ReviewWhen::Opened => is_first && (news == CommitNews::Opened || self.automatic.wanted.is_some()),
            ReviewWhen::Pushed => true,
        };
        if applies {
            let is_reviewed = self.last_posted().is_some_and(|(_, last)| is_same_commit(&last.head, head));
            self.automatic.wanted = (!is_reviewed).then(|| self.next_start(now));
            self.automatic.head = head.to_owned();
        }
    }

    fn next_start(&self, now: Timestamp) -> Timestamp {
        let starts = &self.automatic.starts;
        let after_last = starts.first().map(|last| last.plus(REVIEW_WINDOW));
        let after_day = starts.get(MAX_REVIEWS_PER_DAY - 1).map(|oldest| oldest.plus(DAY));
        [after_last, after_day].into_iter().flatten().fold(now.plus(REVIEW_DELAY), Timestamp::max)
    }

    /// After the start of a job that reviews the newest commit.
    pub fn start(&mut self, job: &JobId, is_automatic: bool, at: Timestamp) {
        self.active_job = Some(job.clone());
        self.automatic.wanted = None;
        if is_automatic {
            self.automatic.starts.insert(0, at);
            self.automatic.starts.truncate(MAX_REVIEWS_PER_DAY);
        }
    }

    /// After the end of a job that reviews. `posted` is the output of a completed one.
    pub fn end(&mut self, job: &Job, posted: Option<&PostedReview>, at: Timestamp) {
        self.active_job.take_if(|active| *active == job.id);
        if self.ended.iter().any(|review| review.job == job.id) {
            return;
        }
        // The job reviewed the commit that was the newest when it began to work.
        if posted.is_some_and(|posted| is_same_commit(&self.automatic.head, &posted.head)) {
            self.automatic.wanted = None;
        }
        let posted = posted.map(|posted| ReviewedCommit {
            head: posted.head.clone(),
            base: posted.base.clone(),
            since: posted.since.clone(),
            counts: posted.counts(),
        });
        let (job, status, spent_usd_micros) = (job.id.clone(), job.status, job.spent_usd_micros);
        self.ended.insert(0, EndedReview { job, at, status, spent_usd_micros, posted });
        self.ended.truncate(MAX_LISTED_REVIEWS);
        self.count = self.count.saturating_add(1);
        self.spent_usd_micros = self.spent_usd_micros.saturating_add(spent_usd_micros);
    }
}

/// Bitbucket sends only a prefix of the commit id.
fn is_same_commit(known: &str, head: &str) -> bool {
    !known.is_empty() && (known.starts_with(head) || head.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{job_id, ready_job, time_at};
    use crate::review::report::review_output::ReviewOutput;

    #[test]
    fn newest_reviews_are_listed_and_all_are_counted() {
        let mut reviews = AgentReviews { active_job: Some(ready_job().id), ..AgentReviews::default() };
        let ended_job = |number: u64| Job {
            id: job_id(&number.to_string()),
            status: JobStatus::Completed,
            spent_usd_micros: 10,
            ..ready_job()
        };
        for number in 0..12 {
            let posted = posted(&format!("head{number}"));
            // The last one failed.
            reviews.end(&ended_job(number), (number < 11).then_some(&posted), time_at(number));
        }
        assert!(reviews.active_job.is_some(), "another job's end does not matter");
        assert_eq!((reviews.ended.len(), reviews.count, reviews.spent_usd_micros), (10, 12, 120));
        let (last, commit) = reviews.last_posted().unwrap();
        assert_eq!((last, commit.head.as_str()), (&ended_job(10).id, "head10"));
        let before = reviews.clone();
        reviews.end(&ended_job(11), None, time_at(20));
        assert_eq!(reviews, before, "a repeat changes nothing");
    }

    fn posted(head: &str) -> PostedReview {
        PostedReview {
            fixed: 0,
            head: head.into(),
            review: ReviewOutput { summary: "Good.".into(), findings: Vec::new(), threads: Vec::new() },
            places: Vec::new(),
            since: None,
            adopted: false,
            base: "main".into(),
            earlier: Vec::new(),
        }
    }

    #[test]
    fn automatic_reviews_follow_the_setting() {
        use ReviewWhen::{Asked, Opened, Pushed};
        let check = |before: &AgentReviews, when, news, head: &str, expected: Option<u64>| {
            let mut reviews = before.clone();
            reviews.want(when, news, head, time_at(5));
            assert_eq!(reviews.automatic.wanted, expected.map(time_at), "{when:?} {news:?} {head}");
            reviews
        };
        let new = AgentReviews::default();
        assert_eq!(check(&new, Asked, CommitNews::Opened, "aaaa", None), new);
        check(&new, Opened, CommitNews::Opened, "", None);
        check(&new, Opened, CommitNews::Pushed, "aaaa", None);
        let mut opened = check(&new, Opened, CommitNews::Opened, "aaaa", Some(125));
        opened.automatic.wanted = Some(time_at(60));
        assert_eq!(check(&opened, Opened, CommitNews::Pushed, "bbbb", Some(125)).automatic.head, "bbbb");
        check(&opened, Pushed, CommitNews::Pushed, "aa", Some(60));

        let mut running = opened.clone();
        running.start(&job_id("1"), true, time_at(130));
        check(&running, Opened, CommitNews::Opened, "bbbb", None);
        check(&running, Pushed, CommitNews::Opened, "aaaa", None);
        let pushed = check(&running, Pushed, CommitNews::Pushed, "bbbb", Some(730));
        let ended = |head: &str| {
            let mut reviews = pushed.clone();
            reviews.end(&Job { id: job_id("1"), ..ready_job() }, Some(&posted(head)), time_at(200));
            reviews
        };
        assert_eq!(ended("bbbbbb").automatic.wanted, None, "the job reviewed the newest commit");
        let second = ended("aaaa");
        assert_eq!(second.automatic.wanted, Some(time_at(730)));
        check(&second, Pushed, CommitNews::Pushed, "aaaa", None);
        let mut failed = running.clone();
        failed.end(&Job { id: job_id("1"), ..ready_job() }, None, time_at(200));
        check(&failed, Pushed, CommitNews::Opened, "aaaa", None);
        check(&failed, Opened, CommitNews::Opened, "bbbb", None);
    }

    #[test]
    fn ten_automatic_reviews_start_in_a_day() {
        let mut reviews = AgentReviews::default();
        let mut now = time_at(0);
        let mut starts = Vec::new();
        for number in 0..11 {
            reviews.want(ReviewWhen::Pushed, CommitNews::Pushed, &format!("head{number}"), now);
            now = reviews.automatic.wanted.unwrap();
            starts.push(now);
            let job = Job { id: job_id(&number.to_string()), ..ready_job() };
            reviews.start(&job.id, true, now);
            reviews.end(&job, None, now);
        }
        let expected = (0..10).map(|number| time_at(120 + 600 * number)).chain([time_at(120 + 86_400)]);
        assert_eq!(starts, expected.collect::<Vec<_>>());
        reviews.want(ReviewWhen::Pushed, CommitNews::Pushed, "asked", now);
        reviews.start(&job_id("asked"), false, now);
        assert_eq!((reviews.automatic.wanted, reviews.automatic.starts.len()), (None, 10), "a request counts as none");
    }

    #[test]
    fn whole_change_is_reviewed_at_first_and_after_four_reviews() {
        let mut reviews = AgentReviews::default();
        let mut since = Vec::new();
        for number in 0..7 {
            let next = reviews.next_since("main").map(str::to_owned);
            let posted = PostedReview { since: next.clone(), ..posted(&format!("head{number}")) };
            reviews.end(&Job { id: job_id(&number.to_string()), ..ready_job() }, Some(&posted), time_at(number));
            since.push(next);
        }
        let of = |head: &str| Some(head.to_owned());
        let partial = ["head0", "head1", "head2", "head3"].map(of);
        assert_eq!(since[0], None);
        assert_eq!(since[1..5], partial);
        assert_eq!(since[5..], [None, of("head5")]);
        assert_eq!(reviews.next_since("release"), None);
    }
}
