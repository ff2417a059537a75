//! Tests pull requests that are closed, merged, reopened, pushed to, renamed, or lose their branch during a revision.

use super::desk::{ANN, Begin, Desk, HOUR, KEY};
use crate::cli::User;
use crate::story::{REPOSITORY, TODO};
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::pull_request::PullRequestState;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use std::time::Duration;

impl Desk {
    /// Verifies that the close cancelled the job, pushed no commit, and left the ticket unchanged.
    async fn is_called_off(&self, job: &JobId, what: &str) {
        let job = self.story.ended(job).await;
        let sentence = format!("Cancelled because #{} was {what}.", self.number);
        assert_eq!(job.status, JobStatus::Cancelled, "{job:?}");
        let why = self.story.api.why(&job.id).await.unwrap();
        assert_eq!(why.sentence, sentence);
        self.story.pass(Duration::from_secs(1)).await;
        let ticket = self.shown().await;
        assert_eq!((ticket.status.as_str(), ticket.badges.len()), (TODO, 0), "{ticket:?}");
        assert_eq!(self.commits_of(&[&job.id]).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreported_close_is_detected_when_the_review_is_read() {
    let desk = Desk::begin(Begin { hook: false, ..Begin::default() }).await;
    let calls = Calls { method: Some("GET".into()), path: format!("/pulls/{}/reviews", desk.number) };
    // The client does not retry a 501 at once.
    desk.story.local.forge().order_fault(calls, 1, Fault::status(501));
    desk.ask("Not yet.", &[]).await;
    desk.story.api.revise(&desk.revise("Do it."), None).await.unwrap();
    let job = desk.revision().await;
    desk.story.quiet().await;
    desk.set("closed").await;
    desk.story.pass(Duration::from_secs(60)).await;
    desk.is_called_off(&job.id, "closed").await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_a_pr_stops_the_agent_and_refuses_waiting_reviews() {
    let desk = Desk::linked().await;
    desk.wait();
    desk.ask("First.", &[]).await;
    let job = desk.revision().await;
    desk.prompt(&job.id).await;
    let waits = desk.ask("Second.", &[]).await;
    assert_eq!(desk.entry(waits).await.code, "held_for_job");
    desk.set("closed").await;
    desk.is_called_off(&job.id, "closed").await;
    desk.told("success", "is closed").await;
    let entry = desk.entry(waits).await;
    assert_eq!(entry.code, "pull_request_closed", "{}", entry.sentence);
    assert_eq!(desk.why().await.held_until, None);
    let late = desk.ask("Third.", &[]).await;
    assert_eq!(desk.entry(late).await.code, "pull_request_closed");
    desk.go();
    desk.set("open").await;
    let next = desk.ask("Fourth.", &[]).await;
    assert_eq!(desk.entry(next).await.code, "held_until");
    desk.story.pass(HOUR).await;
    let next = desk.nth_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("Fourth."), "{prompt}");
    desk.completed(&next.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_refuses_waiting_reviews() {
    let desk = Desk::linked().await;
    desk.ask("First.", &[]).await;
    let job = desk.revision().await;
    desk.completed(&job.id).await;
    desk.story.pass(Duration::from_secs(1)).await;
    let waits = desk.ask("Second.", &[]).await;
    assert_eq!(desk.entry(waits).await.code, "held_until");
    desk.story.local.forge().merge(REPOSITORY, desk.number, ANN).await.unwrap();
    desk.story.local.forge().deliveries_settled().await;
    desk.story.quiet().await;
    assert_eq!(desk.entry(waits).await.code, "pull_request_closed");
    assert_eq!(desk.why().await.state, PullRequestState::Merged);
    // `why` names the refused revision, because the ticket itself was not refused.
    let said = User::of(&desk.story).run(&["why", KEY]).await.done();
    let label = format!("{REPOSITORY}#{}", desk.number);
    let refused = format!("No job was started for the last request to revise {label}: {label} is merged.");
    assert_eq!(said.trim_end(), refused);
    desk.story.pass(HOUR).await;
    desk.story.quiet().await;
    assert_eq!(desk.revisions().await.len(), 1);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_revise_their_own_pull_request_of_a_shared_ticket() {
    let desk = Desk::linked().await;
    let newer = desk.open("newer").await;
    desk.link(newer, KEY).await;
    desk.wait();
    let of_the_older = desk.ask("Not here.", &[]).await;
    let first = desk.revision().await;
    desk.prompt(&first.id).await;
    let forge = desk.story.local.forge();
    let of_the_newer = forge.request_changes(REPOSITORY, newer, ANN, "Nor there.", &[]).await.unwrap();
    forge.deliveries_settled().await;
    assert_eq!(desk.entry(of_the_newer).await.code, "held_for_job");
    desk.go();
    let first = desk.completed(&first.id).await;
    assert_eq!(first.result.unwrap().number, desk.number);
    // Each pull request has its own hour.
    let next = desk.nth_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("Nor there.") && !prompt.contains("Not here."), "{prompt}");
    let next = desk.completed(&next.id).await;
    assert_eq!(next.result.unwrap().number, newer);
    for (review, job) in [(of_the_older, &first.id), (of_the_newer, &next.id)] {
        assert_eq!(desk.entry(review).await.job.as_ref(), Some(job));
    }
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_commit_during_a_revision_becomes_the_parent() {
    let desk = Desk::linked().await;
    desk.wait();
    desk.ask("Not yet.", &[("change.txt", 1, "This.")]).await;
    let job = desk.revision().await;
    desk.prompt(&job.id).await;
    let theirs = desk.commit("feature", "theirs.txt", "mine\n").await;
    desk.story.local.forge().deliveries_settled().await;
    desk.go();
    let job = desk.completed(&job.id).await;
    desk.is_answered_once(&[&job.id], 1).await;
    let head = job.result.unwrap().head;
    assert_eq!(desk.story.git(&["rev-parse", &format!("{head}^")]).await, theirs, "the user's commit is our parent");
    desk.told("success", "revised").await;
    desk.end().await;
}
