//! A revision that failed: what its ticket shows, what becomes of the reviews that waited, and how it goes on.

use super::desk::{Desk, HOUR, KEY};
use crate::story::{REVIEW, TODO, TRIGGER};
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{Kind, Status};
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_protocol::job::CancelJob;
use serde_json::json;

impl Desk {
    /// A revision that failed while another review waited for it: the job, and that review.
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
        assert_eq!(job.status, Status::Failed, "{job:?}");
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
async fn a_failed_revision_is_seen_on_its_ticket_and_refuses_what_waited() {
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

    // Its retry is a revision with the same words, although others were said since.
    let answer = desk.story.api.retry_job(&job, None).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Accepted, "{}", answer.sentence);
    let again = desk.completed(&answer.job.unwrap()).await;
    assert_eq!((again.kind, again.retry_of.as_ref()), (Kind::Revise, Some(&job)));
    let (first, second) = (desk.frozen(&job).await, desk.frozen(&again.id).await);
    assert_eq!(first.review.map(|review| review.reviews), second.review.map(|review| review.reviews));
    desk.is_answered_once(&[&job, &again.id], 1).await;
    let ticket = desk.shown().await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (REVIEW, 0));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_enters_the_trigger_status_after_it_is_told_of_the_refused_reviews() {
    let (desk, _, waits) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    let decision = desk.story.tell("drag", KEY, TRIGGER, 10).await;
    let job = decision.job.unwrap();
    let prompt = desk.prompt(&job).await;
    assert!(prompt.contains("Second.") && prompt.contains("The second line."), "{prompt}");
    let job = desk.completed(&job).await;
    assert_eq!((job.kind, job.result.unwrap().number), (Kind::Implement, desk.number));
    assert_eq!(desk.entry(waits).await.job.as_ref(), Some(&job.id));
    assert_eq!(desk.commits_of(&[&job.id]).await, 1);
    // Reviews work again.
    desk.story.pass(HOUR).await;
    let next = desk.ask("Third.", &[]).await;
    let second = desk.nth_revision(2).await;
    assert_eq!(desk.entry(next).await.job.as_ref(), Some(&second.id));
    desk.completed(&second.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_whose_pull_request_was_closed_since_is_worked_on_without_the_refused_reviews() {
    let (desk, _, waits) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    desk.set("closed").await;
    let decision = desk.story.tell("drag", KEY, TRIGGER, 10).await;
    let job = desk.completed(&decision.job.unwrap()).await;
    let prompt = desk.prompt(&job.id).await;
    assert!(prompt.contains("About APP-1") && !prompt.contains("Second."), "{prompt}");
    assert_eq!((job.kind, desk.frozen(&job.id).await.review), (Kind::Implement, None));
    assert_ne!(job.result.unwrap().number, desk.number, "nothing goes on with a closed one");
    assert_eq!(desk.entry(waits).await.job, None);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_does_not_wait_for_ever_for_refused_reviews_that_its_forge_does_not_give() {
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
    assert_ne!(seen.status, Status::Pending, "{:?}", seen.waits);
    assert_eq!(desk.frozen(&job).await.review, None);
    // It is told of none, so none is said to be its own: what waits for it gets a revision once it has ended.
    let entry = desk.entry(waits).await;
    assert_eq!((entry.code.as_str(), &entry.job), ("held_for_job", &None), "{}", entry.sentence);
    desk.story.local.forge().forget_faults();
    desk.go();
    let job = desk.completed(&job).await;
    assert_eq!((job.kind, job.result.unwrap().number), (Kind::Implement, desk.number));
    let next = desk.nth_revision(2).await;
    desk.completed(&next.id).await;
    let told = desk.frozen(&next.id).await.prompt();
    assert!(told.contains("Second.") && told.contains("The second line."), "{told}");
    assert_eq!(desk.entry(waits).await.job.as_ref(), Some(&next.id));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_waits_refused_reviews_that_no_job_could_be_told_of_keep_their_answer() {
    let (desk, _, waits) = Desk::failed().await;
    desk.story.settings(|settings| settings.coalesce = false).await;
    desk.go();
    desk.shown().await;
    // A lasting refusal: nobody tries again.
    let calls = Calls { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", desk.number) };
    desk.story.local.forge().order_fault(calls, 10_000, Fault::status(404));
    let job = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    desk.completed(&job).await;
    assert_eq!(desk.frozen(&job).await.review, None);
    let entry = desk.entry(waits).await;
    assert_eq!((entry.code.as_str(), &entry.job), ("previous_job_not_completed", &None), "{}", entry.sentence);
    // Somebody has to ask for it, and is told of it then.
    desk.story.local.forge().forget_faults();
    let answer = desk.story.api.revise(&desk.revise("Now, please."), None).await.unwrap();
    let revision = answer.job.unwrap();
    desk.completed(&revision).await;
    assert!(desk.frozen(&revision).await.prompt().contains("Second."));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retry_of_a_job_that_was_told_of_reviews_is_told_of_them_and_none_after_it() {
    let (desk, _, waits) = Desk::failed().await;
    desk.shown().await;
    // It is told of them, and fails as well.
    let first = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    assert_eq!(desk.story.ended(&first).await.status, Status::Failed);
    assert_eq!(desk.entry(waits).await.job.as_ref(), Some(&first));
    desk.story.quiet().await;
    desk.shown().await;
    desk.go();
    let answer = desk.story.api.retry_job(&first, None).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Accepted, "{}", answer.sentence);
    let again = desk.completed(&answer.job.unwrap()).await;
    assert_eq!((again.kind, again.result.unwrap().number), (Kind::Implement, desk.number));
    let told = desk.frozen(&again.id).await.prompt();
    for words in ["First.", "The first line.", "Second.", "The second line."] {
        assert_eq!(told.matches(words).count(), 1, "{words}: {told}");
    }
    let last = desk.story.tell("drag-2", KEY, TRIGGER, 20).await.job.unwrap();
    desk.completed(&last).await;
    assert_eq!(desk.frozen(&last).await.review, None, "they were answered");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reviews_of_a_job_that_was_cancelled_before_they_were_read_are_told_to_the_next() {
    let (desk, _, waits) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    let calls = Calls { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", desk.number) };
    desk.story.local.forge().order_fault(calls, 10_000, Fault::status(500));
    let job = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    desk.story.quiet().await;
    assert_eq!(desk.story.api.job(&job).await.unwrap().status, Status::Pending);
    desk.story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    assert_eq!(desk.story.ended(&job).await.status, Status::Cancelled);
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
async fn the_words_of_a_person_whose_revision_failed_are_told_once_to_the_next_job_and_to_its_retry() {
    let desk = Desk::linked().await;
    desk.fail();
    let asked = desk.story.api.revise(&desk.revise("Use tabs."), None).await.unwrap().job.unwrap();
    assert_eq!(desk.story.ended(&asked).await.status, Status::Failed);
    desk.story.quiet().await;
    desk.shown().await;
    let next = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    assert_eq!(desk.story.ended(&next).await.status, Status::Failed);
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
async fn an_old_job_that_cant_be_read_is_in_the_way_of_no_new_one_of_its_pull_request() {
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
async fn whoever_asks_is_told_of_reviews_that_were_decided_before_though_the_forge_says_of_nobody_who_may() {
    let (desk, failed, waits) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    // What was said of Ann when they were decided is believed for ten minutes.
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
