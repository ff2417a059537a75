//! Tests that a requested change becomes one commit, and that status, threads and ledger report it.

use super::world::{ANN, ReviewWorld};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn review_yields_one_commit_thread_replies_and_a_rerequest() {
    let desk = ReviewWorld::with_job_pull_request().await;
    desk.block_agents();
    let review = desk.request_changes("Say it twice.", &[("work.txt", 1, "This line, please.")]).await;
    let job = desk.revision().await;
    let prompt = desk.prompt(&job.id).await;
    desk.wait_for_status("pending", &format!("Job {} works on the requested changes.", job.id.short())).await;
    desk.wait_for_why("works on").await;

    let url = format!("{}/{REPOSITORY}/pull/{}", desk.story.local.forge().url(), desk.number);
    let branch = desk.why().await.branch;
    for text in ["Say it twice.", "This line, please.", "work.txt", "line 1", ANN, &url, &branch, "About APP-1"] {
        assert!(prompt.contains(text), "{text:?} is not in:\n{prompt}");
    }
    let store = desk.story.store().await;
    let stored = store.load_job(&job.id).await.unwrap().unwrap();
    let frozen = store.load_context(&job.id, &stored.context).await.unwrap().unwrap();
    assert_eq!(frozen.prompt(), prompt);
    let context = frozen.review.unwrap();
    assert_eq!(
        (context.pull_request.url.as_str(), context.pull_request.branch.as_str()),
        (url.as_str(), branch.as_str())
    );
    assert_eq!(
        (context.reviews.len(), context.reviews[0].id, context.reviews[0].comments[0].line),
        (1, review, Some(1))
    );

    desk.unblock_agents();
    let job = desk.wait_for_completion(&job.id).await;
    desk.assert_one_commit_and_replies(&[&job.id], 1).await;
    let head = job.result.unwrap().head;
    desk.wait_for_status("success", &format!("Job {} revised 1 file in {}", job.id.short(), &head[..7])).await;
    assert_eq!(desk.wait_for_synced_ticket().await.status, REVIEW);
    let entry = desk.ledger_entry(review).await;
    assert_eq!((entry.code.as_str(), entry.job.as_ref()), ("accepted", Some(&job.id)));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_within_an_hour_share_one_revision_of_newest_head() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.request_changes("First.", &[("change.txt", 1, "One.")]).await;
    let first = desk.revision().await;
    desk.wait_for_completion(&first.id).await;
    let second = desk.request_changes("Second.", &[("change.txt", 2, "Two.")]).await;
    let third = desk.request_changes("Third.", &[("change.txt", 3, "Three.")]).await;
    desk.wait_for_status("pending", "this review will be part of the next revision at").await;
    for review in [second, third] {
        let entry = desk.ledger_entry(review).await;
        assert_eq!((entry.code.as_str(), entry.job), ("held_until", None), "{}", entry.sentence);
    }
    assert_eq!(desk.story.revisions().await.len(), 1);
    desk.story.advance_and_sweep(super::world::HOUR).await;
    let next = desk.story.wait_for_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("Two.") && prompt.contains("Three.") && !prompt.contains("First."), "{prompt}");
    let next = desk.wait_for_completion(&next.id).await;
    assert_eq!(next.status, JobStatus::Completed);
    assert_eq!(desk.commits_of(&[&next.id]).await, 1);
    for review in [second, third] {
        assert_eq!(desk.ledger_entry(review).await.job.as_ref(), Some(&next.id));
    }
    desk.end().await;
}
