//! The reviews of a pull request by agents, as its item lists them.

use crate::id::JobId;
use crate::job::{Job, JobStatus};
use crate::output::{PostedReview, ReviewCounts};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Older reviews are counted, but not listed.
const MAX_LISTED_REVIEWS: usize = 10;

/// After so many reviews of what was new, the whole change is reviewed again.
const MAX_PARTIAL_REVIEWS: usize = 4;

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

    /// The commit after which a review of what is new begins. `None`: the whole change is reviewed, because there was no
    /// review of this base branch, or many since the last one of the whole change.
    pub fn next_since(&self, base: &str) -> Option<&str> {
        let completed: Vec<_> = self.ended.iter().filter_map(|review| review.posted.as_ref()).collect();
        let last = completed.first().filter(|last| last.base == base)?;
        let is_whole_recent = completed.iter().take(MAX_PARTIAL_REVIEWS).any(|review| review.since.is_none());
        is_whole_recent.then_some(last.head.as_str())
    }

    /// After the end of a job that reviews. `posted` is the output of a completed one.
    pub fn end(&mut self, job: &Job, posted: Option<&PostedReview>, at: Timestamp) {
        self.active_job.take_if(|active| *active == job.id);
        if self.ended.iter().any(|review| review.job == job.id) {
            return;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{job_id, ready_job, time_at};
    use crate::output::FindingPlace;
    use crate::report::review_output::ReviewOutput;

    #[test]
    fn newest_reviews_are_listed_and_all_are_counted() {
        let mut reviews = AgentReviews { active_job: Some(ready_job().id), ..AgentReviews::default() };
        let posted = |head: &str| PostedReview {
            head: head.into(),
            review: ReviewOutput { summary: "Good.".into(), findings: Vec::new(), threads: Vec::new() },
            places: Vec::<FindingPlace>::new(),
            since: None,
            adopted: false,
            base: "main".into(),
            earlier: Vec::new(),
        };
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

    #[test]
    fn whole_change_is_reviewed_at_first_and_after_four_reviews() {
        let mut reviews = AgentReviews::default();
        let mut since = Vec::new();
        for number in 0..7 {
            let next = reviews.next_since("main").map(str::to_owned);
            let posted = PostedReview {
                head: format!("head{number}"),
                since: next.clone(),
                adopted: false,
                base: "main".into(),
                review: ReviewOutput { summary: "Good.".into(), findings: Vec::new(), threads: Vec::new() },
                places: Vec::new(),
                earlier: Vec::new(),
            };
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
