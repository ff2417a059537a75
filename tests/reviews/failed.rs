//! Tests what follows a failed revision: the ticket, the waiting reviews, the retry and the next job.

use super::world::{HOUR, KEY, ReviewWorld};
use crate::prelude::*;

impl ReviewWorld {
    async fn with_failed_revision() -> (Self, JobId, u64) {
        let desk = Self::with_linked_pull_request().await;
        desk.block_agents();
        desk.request_changes("First.", &[("change.txt", 1, "The first line.")]).await;
        let job = desk.revision().await;
        desk.prompt(&job.id).await;
        let waits = desk.request_changes("Second.", &[("change.txt", 2, "The second line.")]).await;
        desk.fail_agents();
        std::fs::remove_file(desk.block_file()).unwrap();
        let job = desk.story.wait_for_end(&job.id).await;
        assert_eq!(job.status, JobStatus::Failed, "{job:?}");
        desk.story.wait_for_empty_queues().await;
        (desk, job.id, waits)
    }

    pub(super) async fn context(&self, job: &JobId) -> pullyard_domain::kinds::prompt::Context {
        let store = self.story.store().await;
        let stored = store.load_job(job).await.unwrap().unwrap();
        store.load_context(job, &stored.context).await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_revision_shows_on_ticket_and_refuses_waiting_reviews() {
    let (desk, job, waits) = ReviewWorld::with_failed_revision().await;
    let ticket = desk.wait_for_synced_ticket().await;
    assert_eq!((ticket.status.as_str(), ticket.badges), (TODO, vec!["AI Failed".to_owned()]));
    let entry = desk.ledger_entry(waits).await;
    assert_eq!(entry.code, "previous_job_not_completed", "{}", entry.sentence);
    desk.wait_for_status("success", &entry.sentence).await;
    desk.wait_for_why(&entry.sentence).await;
    desk.unblock_agents();
    let next = desk.request_changes("Third.", &[]).await;
    assert_eq!(desk.ledger_entry(next).await.code, "previous_job_not_completed");

    // The retry has the same reviews, although newer ones were submitted since.
    let answer = desk.story.api.retry_job(&job, None).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Accepted, "{}", answer.sentence);
    let again = desk.wait_for_completion(&answer.job.unwrap()).await;
    assert_eq!((again.kind, again.retry_of.as_ref()), (JobKind::Revise, Some(&job)));
    let (first, second) = (desk.context(&job).await, desk.context(&again.id).await);
    assert_eq!(first.review.map(|review| review.reviews), second.review.map(|review| review.reviews));
    desk.assert_one_commit_and_replies(&[&job, &again.id], 1).await;
    let ticket = desk.wait_for_synced_ticket().await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (REVIEW, 0));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn next_job_of_the_ticket_receives_the_refused_reviews() {
    let (desk, _, waits) = ReviewWorld::with_failed_revision().await;
    desk.unblock_agents();
    desk.wait_for_synced_ticket().await;
    let decision = desk.story.send_ticket_event("drag", KEY, TRIGGER, 10).await;
    let job = decision.job.unwrap();
    let prompt = desk.prompt(&job).await;
    assert!(prompt.contains("Second.") && prompt.contains("The second line."), "{prompt}");
    let job = desk.wait_for_completion(&job).await;
    assert_eq!((job.kind, job.result.unwrap().number), (JobKind::Implement, desk.number));
    assert_eq!(desk.ledger_entry(waits).await.job.as_ref(), Some(&job.id));
    assert_eq!(desk.commits_of(&[&job.id]).await, 1);
    desk.story.advance_and_sweep(HOUR).await;
    let next = desk.request_changes("Third.", &[]).await;
    let second = desk.story.wait_for_revision(2).await;
    assert_eq!(desk.ledger_entry(next).await.job.as_ref(), Some(&second.id));
    desk.wait_for_completion(&second.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn next_job_starts_without_reviews_the_forge_never_returns() {
    let (desk, _, waits) = ReviewWorld::with_failed_revision().await;
    desk.unblock_agents();
    desk.wait_for_synced_ticket().await;
    desk.block_agents();
    let calls = CallFilter { method: Some("GET".into()), path: format!("/pulls/{}/reviews/", desk.number) };
    desk.story.local.forge().inject_fault(calls, 10_000, Fault::status(500));
    let job = desk.story.send_ticket_event("drag", KEY, TRIGGER, 10).await.job.unwrap();
    for tried in 1..=5 {
        desk.story.wait_for_empty_queues().await;
        let wait = desk.story.api.job(&job).await.unwrap().waits.unwrap();
        assert_eq!((wait.code.as_str(), wait.facts["n"].as_u64()), ("context_fetch", Some(tried + 1)));
        desk.story.advance_and_sweep(HOUR).await;
    }
    desk.story.wait_for_empty_queues().await;
    let seen = desk.story.api.job(&job).await.unwrap();
    assert_ne!(seen.status, JobStatus::Pending, "{:?}", seen.waits);
    assert_eq!(desk.context(&job).await.review, None);
    // The job received no reviews, so none is assigned to it. The waiting reviews get a revision after its end.
    let entry = desk.ledger_entry(waits).await;
    assert_eq!((entry.code.as_str(), &entry.job), ("held_for_job", &None), "{}", entry.sentence);
    desk.story.local.forge().clear_faults();
    desk.unblock_agents();
    let job = desk.wait_for_completion(&job).await;
    assert_eq!((job.kind, job.result.unwrap().number), (JobKind::Implement, desk.number));
    let next = desk.story.wait_for_revision(2).await;
    desk.wait_for_completion(&next.id).await;
    let prompt = desk.context(&next.id).await.prompt();
    assert!(prompt.contains("Second.") && prompt.contains("The second line."), "{prompt}");
    assert_eq!(desk.ledger_entry(waits).await.job.as_ref(), Some(&next.id));
    desk.end().await;
}
