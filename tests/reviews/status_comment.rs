//! Tests the comment that replaces the status where our token may not set statuses.

use super::world::ReviewWorld;
use crate::prelude::*;

const DEFERRED: &str = "this review will be part of the next revision at";

impl ReviewWorld {
    fn refuse_statuses(&self) {
        let calls = CallFilter { method: Some("POST".into()), path: "/statuses/".into() };
        self.story.local.forge().inject_fault(calls, 10_000, Fault::status(403));
    }

    /// Waits until our comments contain these texts, one each, and no status is set.
    async fn wait_for_comments(&self, each: &[&str]) {
        wait_until("the comments are there", async || {
            let seen = self.story.local.forge().pull_snapshot(REPOSITORY, self.number).await.unwrap().unwrap();
            let ours = seen.notes.iter().filter(|(author, _)| author == "pullyard-bot");
            let texts: Vec<&str> = ours.map(|(_, text)| text.as_str()).collect();
            let has_all = texts.len() == each.len() && texts.iter().zip(each).all(|(text, part)| text.contains(*part));
            if has_all && seen.statuses.is_empty() { Ok(()) } else { Err(format!("{texts:?} {:?}", seen.statuses)) }
        })
        .await
    }

    fn refuse_comment_edit(&self) {
        let calls = CallFilter { method: Some("PATCH".into()), path: "/issues/comments/".into() };
        self.story.local.forge().inject_fault(calls, 1, Fault::status(403));
    }

    async fn stored_pull_request(&self) -> PullRequest {
        let repository = self.story.local.forge().repository(REPOSITORY).await.unwrap().id;
        let id = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository, number: self.number };
        self.story.store().await.load_pull_request(&id).await.unwrap().unwrap()
    }

    async fn clear_comment_id(&self) {
        self.story.local.forge().wait_for_deliveries().await;
        self.story.wait_for_empty_queues().await;
        let linked = self.stored_pull_request().await;
        assert!(linked.comment.is_some(), "{linked:?}");
        let forgotten = PullRequest { comment: None, ..linked };
        assert_eq!(self.story.store().await.update_pull_request(&forgotten).await.unwrap(), Write::Applied);
    }
}

/// A running revision that only a comment can report on.
async fn start_revision_without_status() -> (ReviewWorld, Job) {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.refuse_statuses();
    desk.block_agents();
    desk.request_changes("First.", &[]).await;
    let job = desk.revision().await;
    (desk, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_status_permission_one_comment_is_updated() {
    let (desk, job) = start_revision_without_status().await;
    desk.wait_for_comments(&[format!("Job {} works on the requested changes.", job.id.short()).as_str()]).await;
    desk.unblock_agents();
    desk.wait_for_completion(&job.id).await;
    desk.wait_for_comments(&[format!("Job {} revised ", job.id.short()).as_str()]).await;
    desk.clear_comment_id().await;
    desk.request_changes("Second.", &[]).await;
    desk.wait_for_comments(&[DEFERRED]).await;
    desk.end().await;
}

/// Any user may copy our mark. Without our own user name, such a comment looks like ours.
#[tokio::test(flavor = "multi_thread")]
async fn new_comment_is_posted_if_the_marked_one_is_read_only() {
    let (desk, job) = start_revision_without_status().await;
    desk.unblock_agents();
    desk.wait_for_completion(&job.id).await;
    let revised = format!("Job {} revised ", job.id.short());
    desk.wait_for_comments(&[revised.as_str()]).await;
    desk.clear_comment_id().await;
    desk.refuse_comment_edit();
    desk.request_changes("Second.", &[]).await;
    desk.wait_for_comments(&[revised.as_str(), DEFERRED]).await;
    desk.end().await;
}
