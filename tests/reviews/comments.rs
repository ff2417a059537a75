//! Where our token may set no status, people read the same in one comment of ours.

use super::desk::Desk;
use crate::story::{REPOSITORY, until};
use pullyard_domain::id::IntegrationId;
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_protocol::job::Job;
use pullyard_store::Write;

const WAITS: &str = "this review will be part of one at";

impl Desk {
    /// From now on our token may set no status.
    fn may_set_no_status(&self) {
        let calls = Calls { method: Some("POST".into()), path: "/statuses/".into() };
        self.story.local.forge().order_fault(calls, 10_000, Fault::status(403));
    }

    /// Waits until our comments say this, each its own, and there are no more of them.
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

    /// The next change of a comment is refused to our token.
    fn may_not_change_a_comment(&self) {
        let calls = Calls { method: Some("PATCH".into()), path: "/issues/comments/".into() };
        self.story.local.forge().order_fault(calls, 1, Fault::status(403));
    }

    /// What stands in the table about the pull request.
    async fn stored(&self) -> PullRequest {
        let repository = self.story.local.forge().repository(REPOSITORY).await.unwrap().id;
        let id = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository, number: self.number };
        self.story.store().await.pull_request(&id).await.unwrap().unwrap()
    }

    /// Waits until a comment is known as ours, and nothing is left to be said in it.
    async fn nothing_is_left_to_say(&self) {
        until("nothing is left to say", async || {
            let linked = self.stored().await;
            if linked.comment.is_some() && !linked.is_untold() { Ok(()) } else { Err(format!("{linked:?}")) }
        })
        .await
    }

    /// It is not known any more which comment is ours.
    async fn forget_comment(&self) {
        self.story.local.forge().deliveries_settled().await;
        self.story.quiet().await;
        let linked = self.stored().await;
        assert!(linked.comment.is_some(), "{linked:?}");
        let forgotten = PullRequest { comment: None, ..linked };
        assert_eq!(self.story.store().await.update_pull_request(&forgotten).await.unwrap(), Write::Applied);
    }
}

/// A revision is at work, and what becomes of it can be said by a comment alone.
async fn revising() -> (Desk, Job) {
    let desk = Desk::linked().await;
    desk.may_set_no_status();
    desk.wait();
    desk.ask("First.", &[]).await;
    let job = desk.revision().await;
    (desk, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_status_may_be_set_one_comment_says_what_is_so_and_is_changed_each_time() {
    let (desk, job) = revising().await;
    desk.commented(&[format!("Job {} works on the requested changes.", job.id.short()).as_str()]).await;
    desk.go();
    desk.completed(&job.id).await;
    desk.commented(&[format!("Job {} revised ", job.id.short()).as_str()]).await;
    // By its mark it is found again.
    desk.forget_comment().await;
    desk.ask("Second.", &[]).await;
    desk.commented(&[WAITS]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_of_ours_that_somebody_deleted_is_written_anew() {
    let (desk, job) = revising().await;
    let works = format!("Job {} works on the requested changes.", job.id.short());
    desk.commented(&[works.as_str()]).await;
    // The forge does not find it any more.
    let calls = Calls { method: Some("PATCH".into()), path: "/issues/comments/".into() };
    desk.story.local.forge().order_fault(calls, 1, Fault::status(404));
    desk.go();
    desk.completed(&job.id).await;
    desk.commented(&[works.as_str(), "revised"]).await;
    desk.ask("Second.", &[]).await;
    desk.commented(&[works.as_str(), WAITS]).await;
    desk.end().await;
}

/// Anybody may copy our mark, and where it is not told who we are, their comment looks like ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_was_found_by_its_mark_and_may_not_be_changed_is_left_and_another_one_is_written() {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_is_known_as_ours_and_could_not_be_changed_for_once_is_gone_on_with() {
    let (desk, job) = revising().await;
    let works = format!("Job {} works on the requested changes.", job.id.short());
    desk.commented(&[works.as_str()]).await;
    desk.nothing_is_left_to_say().await;
    desk.may_not_change_a_comment();
    desk.go();
    desk.completed(&job.id).await;
    desk.nothing_is_left_to_say().await;
    desk.commented(&[works.as_str()]).await;
    desk.ask("Second.", &[]).await;
    desk.commented(&[WAITS]).await;
    desk.end().await;
}
