//! Tests that a review dismissed before it was read is ignored.

use super::desk::Desk;
use pullyard_domain::job::JobStatus;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

impl Desk {
    async fn dismiss(&self, review: u64) {
        self.forge(Method::PUT, &format!("/reviews/{review}/dismissals"), json!({ "message": "Never mind." })).await;
    }

    /// Requests changes while the forge fails once: the revision stays Pending, the review unread.
    async fn unread(&self) -> (u64, pullyard_domain::id::JobId) {
        let calls = Calls { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", self.number) };
        // The client does not retry a 501 at once.
        self.story.local.forge().order_fault(calls, 1, Fault::status(501));
        let review = self.ask("Not yet.", &[("change.txt", 1, "Why?")]).await;
        let job = self.revision().await;
        self.story.quiet().await;
        (review, job.id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dismissing_all_reviews_cancels_the_job_and_frees_the_hour() {
    let desk = Desk::linked().await;
    let (review, job) = desk.unread().await;
    let before = desk.story.ticket(super::desk::KEY).await;
    desk.dismiss(review).await;
    desk.story.pass(Duration::from_secs(60)).await;
    let job = desk.story.ended(&job).await;
    assert_eq!(job.status, JobStatus::Cancelled, "{job:?}");
    desk.told("error", "Cancelled because all its reviews were dismissed.").await;
    let ticket = desk.shown().await;
    assert_eq!((ticket.status, ticket.badges), (before.status, before.badges));
    assert_eq!(desk.why().await.revised, None, "the hour is free again");
    desk.ask("But this.", &[]).await;
    let next = desk.nth_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("But this.") && !prompt.contains("Not yet."), "{prompt}");
    desk.completed(&next.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_revision_runs_after_its_reviews_are_dismissed() {
    let desk = Desk::linked().await;
    desk.wait();
    desk.ask("First.", &[]).await;
    let first = desk.revision().await;
    desk.prompt(&first.id).await;
    let dropped = desk.ask("Dropped.", &[]).await;
    desk.story.api.revise(&desk.revise("Use tabs."), None).await.unwrap();
    desk.dismiss(dropped).await;
    desk.go();
    desk.completed(&first.id).await;
    desk.story.pass(super::desk::HOUR).await;
    let next = desk.nth_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("Use tabs.") && !prompt.contains("Dropped"), "{prompt}");
    desk.completed(&next.id).await;
    desk.end().await;
}
