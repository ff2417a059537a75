//! Tests the comment that replaces the status where our token may not set statuses.

use super::desk::Desk;
use crate::story::{REPOSITORY, until};
use pullyard_domain::id::IntegrationId;
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_protocol::job::Job;
use pullyard_store::Write;

const WAITS: &str = "this review will be part of the next one at";

impl Desk {
    /// The forge refuses all statuses of our token from now on.
    fn may_set_no_status(&self) {
        let calls = Calls { method: Some("POST".into()), path: "/statuses/".into() };
        self.story.local.forge().order_fault(calls, 10_000, Fault::status(403));
    }

    /// Waits until our comments contain these texts, one each, and no status is set.
    async fn commented(&self, each: &[&str]) {
        until("the comments are there", async || {
            let seen = self.story.local.forge().look(REPOSITORY, self.number).await.unwrap().unwrap();
            let ours = seen.notes.iter().filter(|(author, _)| author == "pullyard-bot");
            let said: Vec<&str> = ours.map(|(_, words)| words.as_str()).collect();
            let is_said = said.len() == each.len() && said.iter().zip(each).all(|(said, words)| said.contains(*words));
            if is_said && seen.statuses.is_empty() { Ok(()) } else { Err(format!("{said:?} {:?}", seen.statuses)) }
        })
        .await
    }

    /// The forge refuses the next edit of a comment by our token.
    fn may_not_change_a_comment(&self) {
        let calls = Calls { method: Some("PATCH".into()), path: "/issues/comments/".into() };
        self.story.local.forge().order_fault(calls, 1, Fault::status(403));
    }

    async fn stored(&self) -> PullRequest {
        let repository = self.story.local.forge().repository(REPOSITORY).await.unwrap().id;
        let id = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository, number: self.number };
        self.story.store().await.pull_request(&id).await.unwrap().unwrap()
    }

    async fn forget_comment(&self) {
        self.story.local.forge().deliveries_settled().await;
        self.story.quiet().await;
        let linked = self.stored().await;
        assert!(linked.comment.is_some(), "{linked:?}");
        let forgotten = PullRequest { comment: None, ..linked };
        assert_eq!(self.story.store().await.update_pull_request(&forgotten).await.unwrap(), Write::Applied);
    }
}

/// A running revision that only a comment can report on.
async fn revising() -> (Desk, Job) {
    let desk = Desk::linked().await;
    desk.may_set_no_status();
    desk.wait();
    desk.ask("First.", &[]).await;
    let job = desk.revision().await;
    (desk, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_status_permission_one_comment_is_updated() {
    let (desk, job) = revising().await;
    desk.commented(&[format!("Job {} works on the requested changes.", job.id.short()).as_str()]).await;
    desk.go();
    desk.completed(&job.id).await;
    desk.commented(&[format!("Job {} revised ", job.id.short()).as_str()]).await;
    desk.forget_comment().await;
    desk.ask("Second.", &[]).await;
    desk.commented(&[WAITS]).await;
    desk.end().await;
}

/// Any user may copy our mark. Without our own user name, such a comment looks like ours.
#[tokio::test(flavor = "multi_thread")]
async fn new_comment_is_posted_if_the_marked_one_is_read_only() {
    let (desk, job) = revising().await;
    desk.go();
    desk.completed(&job.id).await;
    let revised = format!("Job {} revised ", job.id.short());
    desk.commented(&[revised.as_str()]).await;
    desk.forget_comment().await;
    desk.may_not_change_a_comment();
    desk.ask("Second.", &[]).await;
    desk.commented(&[revised.as_str(), WAITS]).await;
    desk.end().await;
}
