//! The forge fails while a review is read: that costs time, and nothing else for a whole day.

use super::desk::{Begin, Desk, HOUR};
use crate::story::{TODO, until};
use pullyard_domain::id::JobId;
use pullyard_domain::job::{Kind, Status};
use pullyard_domain::time::Timestamp;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use serde_json::json;
use std::time::Duration;

impl Desk {
    /// This happens to so many calls about the reviews of the pull request.
    fn order(&self, times: usize, fault: Fault) {
        let path = format!("/pulls/{}/reviews/", self.number);
        self.story.local.forge().order_fault(Calls { method: Some("GET".into()), path }, times, fault);
    }

    /// A review that the project did not want, so that nothing is remembered of it, and a person who asks for a revision
    /// while this happens to so many questions whether somebody may start jobs: the review, and the job.
    async fn asked_while(&self, times: usize, fault: Fault) -> (u64, JobId) {
        self.story.settings(|settings| settings.revise_on_review = false).await;
        let review = self.ask("First.", &[("change.txt", 1, "The first line.")]).await;
        assert_eq!(self.entry(review).await.code, "retrigger_disabled");
        // What was said of Ann then is believed for ten minutes.
        self.story.pass(HOUR).await;
        let calls = Calls { method: Some("GET".into()), path: "/collaborators/".into() };
        self.story.local.forge().order_fault(calls, times, fault);
        let answer = self.story.api.revise(&self.revise("Use tabs."), None).await.unwrap();
        (review, answer.job.unwrap())
    }

    /// Somebody does this to the secret with our token.
    async fn secrets(&self, operation: &str) {
        let answer = reqwest::Client::new()
            .post(&self.story.local.aws().endpoints().secretsmanager)
            .header("x-amz-target", format!("secretsmanager.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=local/20261120/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0")
            .header("x-amz-date", "20261120T000000Z")
            .body(json!({ "SecretId": self.story.local.forge_secret() }).to_string())
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// The job still waits for its review, and says so by this code; when it was made.
    async fn waits(&self, job: &JobId, code: &str) -> Timestamp {
        self.story.quiet().await;
        let seen = self.story.api.job(job).await.unwrap();
        let why = self.story.api.why(job).await.unwrap();
        assert_eq!((seen.status, why.code.as_deref()), (Status::Pending, Some(code)), "{}", why.sentence);
        assert_eq!(self.why().await.revised, Some(seen.created), "its hour began with it");
        seen.created
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_asks_us_to_wait_is_asked_again_when_it_said() {
    let desk = Desk::linked().await;
    desk.order(1, Fault::too_many(600));
    desk.ask("Not yet.", &[("change.txt", 1, "This.")]).await;
    let job = desk.revision().await;
    let created = desk.waits(&job.id, "forge_rate_limited").await;
    desk.why_says("asks us to wait until").await;
    desk.story.pass(Duration::from_secs(590)).await;
    desk.waits(&job.id, "forge_rate_limited").await;
    // A second review of the same hour waits as ever.
    let second = desk.ask("And this.", &[]).await;
    assert_eq!(desk.entry(second).await.code, "held_for_job");
    desk.story.pass(Duration::from_secs(20)).await;
    desk.completed(&job.id).await;
    desk.is_answered_once(&[&job.id], 1).await;
    assert_eq!(desk.why().await.revised, Some(created), "the hour began once");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_asks_us_to_wait_for_years_is_asked_again_within_the_hour() {
    let desk = Desk::linked().await;
    desk.order(1, Fault::too_many(100_000_000));
    desk.ask("Not yet.", &[("change.txt", 1, "This.")]).await;
    let job = desk.revision().await;
    desk.waits(&job.id, "forge_rate_limited").await;
    desk.story.pass(HOUR).await;
    desk.completed(&job.id).await;
    desk.is_answered_once(&[&job.id], 1).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_lost_connections_are_tried_again_until_the_review_is_read() {
    let desk = Desk::linked().await;
    let job = {
        // One that is not asked about again at once.
        desk.order(1, Fault::status(501));
        desk.ask("Not yet.", &[]).await;
        desk.revision().await
    };
    let mut passed = Duration::ZERO;
    for fault in [Fault::HangUpBefore, Fault::HangUpAfter, Fault::status(500), Fault::used_up(0)] {
        desk.waits(&job.id, "context_fetch").await;
        // Whoever reads a list may ask twice before giving up.
        desk.story.local.forge().forget_faults();
        desk.order(50, fault);
        passed += Duration::from_secs(240);
        desk.story.pass(Duration::from_secs(240)).await;
    }
    desk.story.quiet().await;
    desk.story.local.forge().forget_faults();
    desk.story.pass(HOUR).await;
    desk.completed(&job.id).await;
    desk.is_answered_once(&[&job.id], 0).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_could_not_be_read_for_a_day_fails_its_job_and_nothing_else() {
    let desk = Desk::linked().await;
    desk.order(10_000, Fault::status(503));
    let review = desk.ask("Not yet.", &[]).await;
    let job = desk.revision().await;
    for _ in 0..23 {
        desk.story.pass(HOUR).await;
        desk.waits(&job.id, "context_fetch").await;
    }
    let waits = desk.ask("And this.", &[]).await;
    desk.story.pass(HOUR).await;
    let job = desk.story.ended(&job.id).await;
    assert_eq!(job.failure.unwrap().code, "context_unavailable");
    desk.story.quiet().await;
    let ticket = desk.story.ticket(super::desk::KEY).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len(), ticket.last_job.is_some()), (TODO, 0, false));
    assert_eq!(desk.entry(review).await.job.as_ref(), Some(&job.id));
    // The hour is given back: what waited begins, and is read now.
    desk.story.local.forge().forget_faults();
    desk.story.pass(Duration::from_secs(60)).await;
    let next = desk.nth_revision(2).await;
    desk.completed(&next.id).await;
    assert_eq!(desk.entry(waits).await.job.as_ref(), Some(&next.id));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retry_of_a_revision_whose_review_was_never_read_is_one_and_reads_it() {
    let desk = Desk::linked().await;
    // Whoever meets another writer when the end is written asks once more.
    desk.order(100, Fault::status(404));
    desk.ask("Not yet.", &[]).await;
    let job = desk.story.ended(&desk.revision().await.id).await;
    assert_eq!(job.failure.unwrap().code, "context_unavailable");
    desk.story.local.forge().forget_faults();
    let answer = desk.story.api.retry_job(&job.id, None).await.unwrap();
    let again = desk.completed(&answer.job.unwrap()).await;
    assert_eq!((again.kind, again.retry_of.as_ref()), (Kind::Revise, Some(&job.id)));
    let prompt = desk.prompt(&again.id).await;
    assert!(prompt.contains("Not yet."), "{prompt}");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_forge_has_no_token_any_more_waits_until_it_has() {
    let desk = Desk::begin(Begin { hook: false, ..Begin::default() }).await;
    desk.wait();
    desk.secrets("DeleteSecret").await;
    // Who asks has the token in memory for a minute; who reads the review never had it.
    let answer = desk.story.api.revise(&desk.revise("Use tabs."), None).await.unwrap();
    let job = answer.job.unwrap();
    // What is to be said on the pull request comes again and again meanwhile: the queue is not quiet.
    until("it was tried in vain", async || {
        let waits = desk.story.api.job(&job).await.unwrap().waits.unwrap();
        if waits.facts["n"] == 2 { Ok(()) } else { Err(format!("{waits:?}")) }
    })
    .await;
    desk.secrets("RestoreSecret").await;
    desk.story.pass(HOUR).await;
    desk.prompt(&job).await;
    desk.go();
    desk.completed(&job).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_asks_waits_for_a_forge_that_does_not_say_who_may_and_is_told_of_the_review_then() {
    let desk = Desk::linked().await;
    let (review, job) = desk.asked_while(1, Fault::status(500)).await;
    desk.waits(&job, "context_fetch").await;
    assert_eq!(desk.entry(review).await.job, None, "nobody's until that is known");
    desk.story.pass(HOUR).await;
    let prompt = desk.prompt(&job).await;
    for words in ["Use tabs.", "First.", "The first line."] {
        assert_eq!(prompt.matches(words).count(), 1, "{words}: {prompt}");
    }
    desk.completed(&job).await;
    assert_eq!(desk.entry(review).await.job.as_ref(), Some(&job));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_asks_does_not_wait_for_a_forge_that_will_not_say_who_may() {
    let desk = Desk::linked().await;
    let (review, job) = desk.asked_while(10_000, Fault::status(404)).await;
    let prompt = desk.prompt(&job).await;
    assert!(prompt.contains("Use tabs.") && !prompt.contains("First."), "{prompt}");
    desk.completed(&job).await;
    assert_eq!(desk.entry(review).await.job, None);
    desk.end().await;
}
