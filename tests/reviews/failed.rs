//! Tests what follows a failed revision: the ticket, the waiting reviews, the retry and the next job.

use super::desk::{Desk, HOUR, KEY};
use crate::story::{REVIEW, TODO, TRIGGER};
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{JobKind, JobStatus};
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_protocol::job::CancelJob;
use serde_json::json;

impl Desk {
    /// A revision that failed while a second review waited: the job and the id of that review.
    async fn failed() -> (Self, JobId, u64) {
        let desk = Self::linked().await;
        desk.wait();
        desk.ask("First.", &[("change.txt", 1, "The first line.")]).await;
        let job = desk.revision().await;
        desk.prompt(&job.id).await;
        let waits = desk.ask("Second.", &[("change.txt", 2, "The second line.")]).await;
        desk.fail();
        std::fs::remove_file(desk.waiting()).unwrap();
        let job = desk.story.ended(&job.id).await;
        assert_eq!(job.status, JobStatus::Failed, "{job:?}");
        desk.story.quiet().await;
        (desk, job.id, waits)
    }

    pub(super) async fn frozen(&self, job: &JobId) -> pullyard_domain::prompt::Context {
        let store = self.story.store().await;
        let stored = store.job(job).await.unwrap().unwrap();
        store.context(job, &stored.context).await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_revision_shows_on_ticket_and_refuses_waiting_reviews() {
    let (desk, job, waits) = Desk::failed().await;
    let ticket = desk.shown().await;
    assert_eq!((ticket.status.as_str(), ticket.badges), (TODO, vec!["AI Failed".to_owned()]));
    let entry = desk.entry(waits).await;
    assert_eq!(entry.code, "previous_job_not_completed", "{}", entry.sentence);
    desk.told("success", &entry.sentence).await;
    desk.why_says(&entry.sentence).await;
    desk.go();
    let next = desk.ask("Third.", &[]).await;
    assert_eq!(desk.entry(next).await.code, "previous_job_not_completed");

    // The retry has the same reviews, although newer ones were submitted since.
    let answer = desk.story.api.retry_job(&job, None).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Accepted, "{}", answer.sentence);
    let again = desk.completed(&answer.job.unwrap()).await;
    assert_eq!((again.kind, again.retry_of.as_ref()), (JobKind::Revise, Some(&job)));
    let (first, second) = (desk.frozen(&job).await, desk.frozen(&again.id).await);
    assert_eq!(first.review.map(|review| review.reviews), second.review.map(|review| review.reviews));
    desk.is_answered_once(&[&job, &again.id], 1).await;
    let ticket = desk.shown().await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (REVIEW, 0));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn next_job_of_the_ticket_receives_the_refused_reviews() {
    let (desk, _, waits) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    let decision = desk.story.tell("drag", KEY, TRIGGER, 10).await;
    let job = decision.job.unwrap();
    let prompt = desk.prompt(&job).await;
    assert!(prompt.contains("Second.") && prompt.contains("The second line."), "{prompt}");
    let job = desk.completed(&job).await;
    assert_eq!((job.kind, job.result.unwrap().number), (JobKind::Implement, desk.number));
    assert_eq!(desk.entry(waits).await.job.as_ref(), Some(&job.id));
    assert_eq!(desk.commits_of(&[&job.id]).await, 1);
    desk.story.pass(HOUR).await;
    let next = desk.ask("Third.", &[]).await;
    let second = desk.nth_revision(2).await;
    assert_eq!(desk.entry(next).await.job.as_ref(), Some(&second.id));
    desk.completed(&second.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn next_job_omits_refused_reviews_of_a_closed_pull_request() {
    let (desk, _, waits) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    desk.set("closed").await;
    let decision = desk.story.tell("drag", KEY, TRIGGER, 10).await;
    let job = desk.completed(&decision.job.unwrap()).await;
    let prompt = desk.prompt(&job.id).await;
    assert!(prompt.contains("About APP-1") && !prompt.contains("Second."), "{prompt}");
    assert_eq!((job.kind, desk.frozen(&job.id).await.review), (JobKind::Implement, None));
    assert_ne!(job.result.unwrap().number, desk.number, "the closed pull request is not reused");
    assert_eq!(desk.entry(waits).await.job, None);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn next_job_starts_without_reviews_the_forge_never_returns() {
    let (desk, _, waits) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    desk.wait();
    let calls = Calls { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", desk.number) };
    desk.story.local.forge().order_fault(calls, 10_000, Fault::status(500));
    let job = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    for tried in 1..=5 {
        desk.story.quiet().await;
        let wait = desk.story.api.job(&job).await.unwrap().waits.unwrap();
        assert_eq!((wait.code.as_str(), wait.facts["n"].as_u64()), ("context_fetch", Some(tried + 1)));
        desk.story.pass(HOUR).await;
    }
    desk.story.quiet().await;
    let seen = desk.story.api.job(&job).await.unwrap();
    assert_ne!(seen.status, JobStatus::Pending, "{:?}", seen.waits);
    assert_eq!(desk.frozen(&job).await.review, None);
    // The job received no reviews, so none is assigned to it. The waiting reviews get a revision after its end.
    let entry = desk.entry(waits).await;
    assert_eq!((entry.code.as_str(), &entry.job), ("held_for_job", &None), "{}", entry.sentence);
    desk.story.local.forge().forget_faults();
    desk.go();
    let job = desk.completed(&job).await;
    assert_eq!((job.kind, job.result.unwrap().number), (JobKind::Implement, desk.number));
    let next = desk.nth_revision(2).await;
    desk.completed(&next.id).await;
    let told = desk.frozen(&next.id).await.prompt();
    assert!(told.contains("Second.") && told.contains("The second line."), "{told}");
    assert_eq!(desk.entry(waits).await.job.as_ref(), Some(&next.id));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_coalescing_unread_refused_reviews_stay_refused() {
    let (desk, _, waits) = Desk::failed().await;
    desk.story.settings(|settings| settings.coalesce = false).await;
    desk.go();
    desk.shown().await;
    // A 404 is permanent, so the read is not retried.
    let calls = Calls { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", desk.number) };
    desk.story.local.forge().order_fault(calls, 10_000, Fault::status(404));
    let job = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    desk.completed(&job).await;
    assert_eq!(desk.frozen(&job).await.review, None);
    let entry = desk.entry(waits).await;
    assert_eq!((entry.code.as_str(), &entry.job), ("previous_job_not_completed", &None), "{}", entry.sentence);
    desk.story.local.forge().forget_faults();
    let answer = desk.story.api.revise(&desk.revise("Now, please."), None).await.unwrap();
    let revision = answer.job.unwrap();
    desk.completed(&revision).await;
    assert!(desk.frozen(&revision).await.prompt().contains("Second."));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_are_given_to_the_retry_and_to_no_later_job() {
    let (desk, _, waits) = Desk::failed().await;
    desk.shown().await;
    let first = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    assert_eq!(desk.story.ended(&first).await.status, JobStatus::Failed);
    assert_eq!(desk.entry(waits).await.job.as_ref(), Some(&first));
    desk.story.quiet().await;
    desk.shown().await;
    desk.go();
    let answer = desk.story.api.retry_job(&first, None).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Accepted, "{}", answer.sentence);
    let again = desk.completed(&answer.job.unwrap()).await;
    assert_eq!((again.kind, again.result.unwrap().number), (JobKind::Implement, desk.number));
    let told = desk.frozen(&again.id).await.prompt();
    for words in ["First.", "The first line.", "Second.", "The second line."] {
        assert_eq!(told.matches(words).count(), 1, "{words}: {told}");
    }
    let last = desk.story.tell("drag-2", KEY, TRIGGER, 20).await.job.unwrap();
    desk.completed(&last).await;
    assert_eq!(desk.frozen(&last).await.review, None, "the reviews were answered");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn next_job_receives_reviews_of_a_job_cancelled_unread() {
    let (desk, _, waits) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    let calls = Calls { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", desk.number) };
    desk.story.local.forge().order_fault(calls, 10_000, Fault::status(500));
    let job = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    desk.story.quiet().await;
    assert_eq!(desk.story.api.job(&job).await.unwrap().status, JobStatus::Pending);
    desk.story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    assert_eq!(desk.story.ended(&job).await.status, JobStatus::Cancelled);
    let entry = desk.entry(waits).await;
    assert_eq!((entry.code.as_str(), &entry.job), ("previous_job_not_completed", &None), "{}", entry.sentence);
    desk.story.local.forge().forget_faults();
    desk.shown().await;
    let next = desk.story.tell("drag-2", KEY, TRIGGER, 20).await.job.unwrap();
    desk.completed(&next).await;
    let told = desk.frozen(&next).await.prompt();
    assert!(told.contains("Second.") && told.contains("The second line."), "{told}");
    assert_eq!(desk.entry(waits).await.job.as_ref(), Some(&next));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_of_failed_request_reaches_next_job_and_retry_once() {
    let desk = Desk::linked().await;
    desk.fail();
    let asked = desk.story.api.revise(&desk.revise("Use tabs."), None).await.unwrap().job.unwrap();
    assert_eq!(desk.story.ended(&asked).await.status, JobStatus::Failed);
    desk.story.quiet().await;
    desk.shown().await;
    let next = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    assert_eq!(desk.story.ended(&next).await.status, JobStatus::Failed);
    desk.story.quiet().await;
    desk.shown().await;
    desk.go();
    let again = desk.story.api.retry_job(&next, None).await.unwrap().job.unwrap();
    desk.completed(&again).await;
    for job in [&next, &again] {
        let told = desk.frozen(job).await.prompt();
        assert_eq!(told.matches("Use tabs.").count(), 1, "{told}");
    }
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_old_job_does_not_block_a_new_job() {
    let (desk, _, waits) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    let old = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    desk.completed(&old).await;
    assert_eq!(desk.entry(waits).await.job.as_ref(), Some(&old));
    desk.story.quiet().await;
    let broken = json!({
        "TableName": "pullyard",
        "Key": { "pk": { "S": format!("JOB#{old}") }, "sk": { "S": "JOB" } },
        "UpdateExpression": "SET #status = :status",
        "ExpressionAttributeNames": { "#status": "status" },
        "ExpressionAttributeValues": { ":status": { "S": "dancing" } },
    });
    desk.story.dynamodb("UpdateItem", broken).await;
    let next = desk.story.tell("drag-2", KEY, TRIGGER, 20).await.job.unwrap();
    desk.completed(&next).await;
    assert_eq!(desk.frozen(&next).await.review, None);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_includes_decided_reviews_if_permissions_are_unknown() {
    let (desk, failed, waits) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    // Ann's cached permission expires after ten minutes.
    desk.story.pass(HOUR).await;
    let calls = Calls { method: Some("GET".into()), path: "/collaborators/".into() };
    desk.story.local.forge().order_fault(calls, 10_000, Fault::status(500));
    let job = desk.story.api.revise(&desk.revise("Use tabs."), None).await.unwrap().job.unwrap();
    desk.completed(&job).await;
    let told = desk.frozen(&job).await.prompt();
    for words in ["Use tabs.", "First.", "The first line.", "Second.", "The second line."] {
        assert_eq!(told.matches(words).count(), 1, "{words}: {told}");
    }
    assert_eq!(desk.entry(waits).await.job.as_ref(), Some(&job));
    assert_ne!(job, failed);
    desk.end().await;
}
