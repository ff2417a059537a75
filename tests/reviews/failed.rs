//! A revision that failed: what its ticket shows, what becomes of the reviews that waited, and how it goes on.

use super::desk::{Desk, HOUR, KEY};
use crate::story::{REVIEW, TODO, TRIGGER};
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{Kind, Status};
use pullyard_local::{Calls, Fault};

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

    async fn frozen(&self, job: &JobId) -> pullyard_domain::prompt::Context {
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
    let (desk, ..) = Desk::failed().await;
    desk.go();
    desk.shown().await;
    desk.wait();
    let calls = Calls { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", desk.number) };
    desk.story.local.forge().order_fault(calls, 10_000, Fault::status(500));
    let job = desk.story.tell("drag", KEY, TRIGGER, 10).await.job.unwrap();
    for tried in 1..=5 {
        desk.story.quiet().await;
        let waits = desk.story.api.job(&job).await.unwrap().waits.unwrap();
        assert_eq!((waits.code.as_str(), waits.facts["n"].as_u64()), ("context_fetch", Some(tried + 1)));
        desk.story.pass(HOUR).await;
    }
    desk.story.quiet().await;
    let seen = desk.story.api.job(&job).await.unwrap();
    assert_ne!(seen.status, Status::Pending, "{:?}", seen.waits);
    assert_eq!(desk.frozen(&job).await.review, None);
    desk.story.local.forge().forget_faults();
    desk.go();
    let job = desk.completed(&job).await;
    assert_eq!((job.kind, job.result.unwrap().number), (Kind::Implement, desk.number));
    desk.end().await;
}
