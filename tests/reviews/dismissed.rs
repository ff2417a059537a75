//! Tests that a review dismissed before it was read is ignored.

use super::world::ReviewWorld;
use crate::prelude::*;

impl ReviewWorld {
    async fn dismiss(&self, review: u64) {
        self.call_forge(Method::PUT, &format!("/reviews/{review}/dismissals"), json!({ "message": "Never mind." }))
            .await;
    }

    async fn start_unread_revision(&self) -> (u64, pullyard_domain::text::id::JobId) {
        let calls = CallFilter { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", self.number) };
        // The client does not retry a 501 at once.
        self.story.local.forge().inject_fault(calls, 1, Fault::status(501));
        let review = self.request_changes("Not yet.", &[("change.txt", 1, "Why?")]).await;
        let job = self.revision().await;
        self.story.wait_for_empty_queues().await;
        (review, job.id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dismissing_all_reviews_cancels_the_job_and_frees_the_hour() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    let (review, job) = desk.start_unread_revision().await;
    let before = desk.story.ticket(super::world::KEY).await;
    desk.dismiss(review).await;
    desk.story.advance_and_sweep(Duration::from_secs(60)).await;
    let job = desk.story.wait_for_end(&job).await;
    assert_eq!(job.status, JobStatus::Cancelled, "{job:?}");
    desk.wait_for_status("error", "Cancelled because all its reviews were dismissed.").await;
    let ticket = desk.wait_for_synced_ticket().await;
    assert_eq!((ticket.status, ticket.badges), (before.status, before.badges));
    assert_eq!(desk.why().await.revised, None, "the hour is free again");
    desk.request_changes("But this.", &[]).await;
    let next = desk.story.wait_for_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("But this.") && !prompt.contains("Not yet."), "{prompt}");
    desk.wait_for_completion(&next.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_revision_runs_after_its_reviews_are_dismissed() {
    let desk = ReviewWorld::with_blocked_agents().await;
    desk.request_changes("First.", &[]).await;
    let first = desk.revision().await;
    desk.prompt(&first.id).await;
    let dropped = desk.request_changes("Dropped.", &[]).await;
    desk.story.api.revise_pull_request(&desk.revise_request("Use tabs."), None).await.unwrap();
    desk.dismiss(dropped).await;
    desk.unblock_agents();
    desk.wait_for_completion(&first.id).await;
    desk.story.advance_and_sweep(super::world::HOUR).await;
    let next = desk.story.wait_for_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("Use tabs.") && !prompt.contains("Dropped"), "{prompt}");
    desk.wait_for_completion(&next.id).await;
    desk.end().await;
}
