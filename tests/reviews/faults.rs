//! Tests forge failures while a review is read: the job waits and retries for up to a day.

use super::world::{HOUR, ReviewWorld};
use crate::prelude::*;

impl ReviewWorld {
    fn fail_review_reads(&self, times: usize, fault: Fault) {
        let path = format!("/pulls/{}/reviews/", self.number);
        self.story.local.forge().inject_fault(CallFilter { method: Some("GET".into()), path }, times, fault);
    }

    /// Requests a revision while `times` permission checks fail. A review exists that the settings refused. Returns the
    /// review and the job.
    async fn request_during_permission_faults(&self, times: usize, fault: Fault) -> (u64, JobId) {
        self.story.update_settings(|settings| settings.revise_on_review = false).await;
        let review = self.request_changes("First.", &[("change.txt", 1, "The first line.")]).await;
        assert_eq!(self.ledger_entry(review).await.code, "retrigger_disabled");
        // Ann's cached permission expires after ten minutes.
        self.story.advance_and_sweep(HOUR).await;
        let calls = CallFilter { method: Some("GET".into()), path: "/collaborators/".into() };
        self.story.local.forge().inject_fault(calls, times, fault);
        let answer = self.story.api.revise_pull_request(&self.revise_request("Use tabs."), None).await.unwrap();
        (review, answer.job.unwrap())
    }

    async fn assert_waits(&self, job: &JobId, code: &str) -> Timestamp {
        self.story.wait_for_empty_queues().await;
        let seen = self.story.api.job(job).await.unwrap();
        let explanation = self.story.api.explain_job(job).await.unwrap();
        assert_eq!(
            (seen.status, explanation.code.as_deref()),
            (JobStatus::Pending, Some(code)),
            "{}",
            explanation.sentence
        );
        assert_eq!(self.why().await.revised, Some(seen.created), "the hour began with the job");
        seen.created
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limited_forge_is_called_again_after_retry_after() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.fail_review_reads(1, Fault::secondary_rate_limit(600));
    desk.request_changes("Not yet.", &[("change.txt", 1, "This.")]).await;
    let job = desk.revision().await;
    let created = desk.assert_waits(&job.id, "forge_rate_limited").await;
    desk.wait_for_why("limits our requests until").await;
    desk.story.advance_and_sweep(Duration::from_secs(590)).await;
    desk.assert_waits(&job.id, "forge_rate_limited").await;
    let second = desk.request_changes("And this.", &[]).await;
    assert_eq!(desk.ledger_entry(second).await.code, "held_for_job");
    desk.story.advance_and_sweep(Duration::from_secs(20)).await;
    desk.wait_for_completion(&job.id).await;
    desk.assert_one_commit_and_replies(&[&job.id], 1).await;
    assert_eq!(desk.why().await.revised, Some(created), "the hour began once");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_of_years_is_capped_at_an_hour() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.fail_review_reads(1, Fault::secondary_rate_limit(100_000_000));
    desk.request_changes("Not yet.", &[("change.txt", 1, "This.")]).await;
    let job = desk.revision().await;
    desk.assert_waits(&job.id, "forge_rate_limited").await;
    desk.story.advance_and_sweep(HOUR).await;
    desk.wait_for_completion(&job.id).await;
    desk.assert_one_commit_and_replies(&[&job.id], 1).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn review_unreadable_for_a_day_fails_only_its_job() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.fail_review_reads(10_000, Fault::status(503));
    let review = desk.request_changes("Not yet.", &[]).await;
    let job = desk.revision().await;
    for _ in 0..23 {
        desk.story.advance_and_sweep(HOUR).await;
        desk.assert_waits(&job.id, "context_fetch").await;
    }
    let waits = desk.request_changes("And this.", &[]).await;
    desk.story.advance_and_sweep(HOUR).await;
    let job = desk.story.wait_for_end(&job.id).await;
    assert_eq!(job.failure.unwrap().code, "context_unavailable");
    desk.story.wait_for_empty_queues().await;
    let ticket = desk.story.ticket(super::world::KEY).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len(), ticket.last_job.is_some()), (TODO, 0, false));
    assert_eq!(desk.ledger_entry(review).await.job.as_ref(), Some(&job.id));
    desk.story.local.forge().clear_faults();
    desk.story.advance_and_sweep(Duration::from_secs(60)).await;
    let next = desk.story.wait_for_revision(2).await;
    desk.wait_for_completion(&next.id).await;
    assert_eq!(desk.ledger_entry(waits).await.job.as_ref(), Some(&next.id));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_waits_for_a_permission_check_and_gets_the_review() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    let (review, job) = desk.request_during_permission_faults(1, Fault::status(500)).await;
    desk.assert_waits(&job, "context_fetch").await;
    assert_eq!(desk.ledger_entry(review).await.job, None, "no job owns the review before the permission is known");
    desk.story.advance_and_sweep(HOUR).await;
    let prompt = desk.prompt(&job).await;
    for text in ["Use tabs.", "First.", "The first line."] {
        assert_eq!(prompt.matches(text).count(), 1, "{text}: {prompt}");
    }
    desk.wait_for_completion(&job).await;
    assert_eq!(desk.ledger_entry(review).await.job.as_ref(), Some(&job));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_skips_the_review_if_permissions_are_refused() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    let (review, job) = desk.request_during_permission_faults(10_000, Fault::status(404)).await;
    let prompt = desk.prompt(&job).await;
    assert!(prompt.contains("Use tabs.") && !prompt.contains("First."), "{prompt}");
    desk.wait_for_completion(&job).await;
    assert_eq!(desk.ledger_entry(review).await.job, None);
    desk.end().await;
}
