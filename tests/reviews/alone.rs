//! Tests a ticket's next job that starts without the reviews of a failed revision.

use super::desk::{Begin, Desk, HOUR, KEY};
use crate::story::TRIGGER;
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Settings;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};

/// A review whose revision failed, and the next job, which runs without that review.
struct Alone {
    desk: Desk,
    review: u64,
    failed: JobId,
    next: JobId,
}

impl Alone {
    async fn begin(settings: fn(&mut Settings)) -> Self {
        let desk = Desk::begin(Begin { settings, ..Begin::default() }).await;
        desk.fail();
        let review = desk.ask("First.", &[("change.txt", 1, "The first line.")]).await;
        let failed = desk.revision().await.id;
        assert_eq!(desk.story.ended(&failed).await.status, JobStatus::Failed);
        desk.story.quiet().await;
        desk.shown().await;
        // A 404 is permanent, so the read is not retried.
        let calls = Calls { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", desk.number) };
        desk.story.local.forge().order_fault(calls, 10_000, Fault::status(404));
        desk.wait();
        let next = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
        let prompt = desk.prompt(&next).await;
        assert!(!prompt.contains("First."), "{prompt}");
        desk.story.local.forge().forget_faults();
        Self { desk, review, failed, next }
    }

    /// Replays the review's delivery and returns the new decision.
    async fn told_again(&self) -> (String, Option<JobId>) {
        let entry = self.desk.entry(self.review).await;
        assert_eq!((entry.code.as_str(), entry.job.as_ref()), ("accepted", Some(&self.failed)));
        let again = self.desk.story.api.replay_delivery(&entry.id).await.unwrap();
        (again.code, again.job)
    }

    /// Verifies that the job completed and its prompt contains the review once.
    async fn is_told(&self, job: &JobId) {
        self.desk.completed(job).await;
        let told = self.desk.frozen(job).await.prompt();
        for words in ["First.", "The first line."] {
            assert_eq!(told.matches(words).count(), 1, "{words}: {told}");
        }
    }

    /// Verifies that the number of revisions does not grow within two hours.
    async fn rests_after(self, revisions: usize) {
        for _ in 0..2 {
            self.desk.story.pass(HOUR).await;
            self.desk.story.quiet().await;
        }
        assert_eq!(self.desk.revisions().await.len(), revisions);
        self.desk.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_review_gets_one_revision_after_the_next_job() {
    let alone = Alone::begin(|_| {}).await;
    assert_eq!(alone.told_again().await, ("repeat".to_owned(), Some(alone.failed.clone())));
    let desk = &alone.desk;
    desk.go();
    desk.completed(&alone.next).await;
    desk.why_says("are waiting; one job for all of them").await;
    desk.story.pass(HOUR).await;
    let again = desk.nth_revision(2).await.id;
    assert_ne!(again, alone.failed);
    alone.is_told(&again).await;
    desk.is_answered_once(&[&again], 1).await;
    assert_eq!(alone.told_again().await, ("repeat".to_owned(), Some(again)));
    alone.rests_after(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_after_two_failures_receives_the_unread_review() {
    let alone = Alone::begin(|_| {}).await;
    let desk = &alone.desk;
    std::fs::remove_file(desk.waiting()).unwrap();
    assert_eq!(desk.story.ended(&alone.next).await.status, JobStatus::Failed);
    desk.story.quiet().await;
    desk.shown().await;
    desk.go();
    let last = desk.story.tell("drag-2", KEY, TRIGGER, 20).await.job.unwrap();
    alone.is_told(&last).await;
    alone.rests_after(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_coalescing_a_request_receives_the_unread_review() {
    let alone = Alone::begin(|settings| settings.coalesce = false).await;
    let desk = &alone.desk;
    desk.go();
    desk.completed(&alone.next).await;
    desk.story.pass(HOUR).await;
    desk.story.quiet().await;
    assert_eq!(desk.revisions().await.len(), 1, "no revision starts without a request");
    let asked = desk.story.api.revise(&desk.revise("Now, please."), None).await.unwrap().job.unwrap();
    alone.is_told(&asked).await;
    alone.rests_after(2).await;
}
