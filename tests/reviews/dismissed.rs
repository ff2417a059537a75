//! A review that was dismissed before anybody read it asks for nothing.

use super::desk::{Begin, Desk};
use pullyard_domain::job::Status;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_local::Hints;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

impl Desk {
    async fn dismiss(&self, review: u64) {
        self.forge(Method::PUT, &format!("/reviews/{review}/dismissals"), json!({ "message": "Never mind." })).await;
    }

    /// A review whose job waits for the forge.
    async fn unread(&self) -> (u64, pullyard_domain::id::JobId) {
        let calls = Calls { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", self.number) };
        // One that is not asked about again at once.
        self.story.local.forge().order_fault(calls, 1, Fault::status(501));
        let review = self.ask("Not yet.", &[("change.txt", 1, "Why?")]).await;
        let job = self.revision().await;
        self.story.quiet().await;
        (review, job.id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_every_review_was_dismissed_is_called_off_and_gives_the_hour_back() {
    let desk = Desk::linked().await;
    let (review, job) = desk.unread().await;
    let before = desk.story.ticket(super::desk::KEY).await;
    desk.dismiss(review).await;
    desk.story.pass(Duration::from_secs(60)).await;
    let job = desk.story.ended(&job).await;
    assert_eq!(job.status, Status::Cancelled, "{job:?}");
    desk.told("error", "Cancelled because its reviews were dismissed.").await;
    let ticket = desk.shown().await;
    assert_eq!((ticket.status, ticket.badges), (before.status, before.badges));
    assert_eq!(desk.why().await.revised, None, "the hour is given back");
    // The next one begins at once.
    desk.ask("But this.", &[]).await;
    let next = desk.nth_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("But this.") && !prompt.contains("Not yet."), "{prompt}");
    desk.completed(&next.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_reviews_only_those_that_stand_are_told_to_the_agent() {
    let desk = Desk::begin(Begin { hints: Hints::Arrive, ..Begin::default() }).await;
    desk.wait();
    desk.ask("First.", &[]).await;
    let first = desk.revision().await;
    desk.prompt(&first.id).await;
    let dropped = desk.ask("Dropped.", &[("change.txt", 1, "Dropped, too.")]).await;
    desk.ask("Kept.", &[("change.txt", 2, "Kept, too.")]).await;
    desk.dismiss(dropped).await;
    desk.go();
    desk.completed(&first.id).await;
    desk.story.pass(super::desk::HOUR).await;
    let next = desk.nth_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("Kept, too.") && !prompt.contains("Dropped"), "{prompt}");
    desk.completed(&next.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_own_words_are_reason_enough_when_the_reviews_were_dismissed() {
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
