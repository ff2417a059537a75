//! Tests pull requests that are closed, merged, reopened, pushed to, renamed, or lose their branch during a revision.

use super::world::{ANN, HOUR, KEY, ReviewSetup, ReviewWorld};
use crate::pages::Browser;
use crate::prelude::*;

impl ReviewWorld {
    async fn assert_cancelled_by_close(&self, job: &JobId, state: &str) {
        let job = self.story.wait_for_end(job).await;
        let sentence = format!("Cancelled because #{} was {state}.", self.number);
        assert_eq!(job.status, JobStatus::Cancelled, "{job:?}");
        let explanation = self.story.api.explain_job(&job.id).await.unwrap();
        assert_eq!(explanation.sentence, sentence);
        self.story.advance_and_sweep(Duration::from_secs(1)).await;
        let ticket = self.wait_for_synced_ticket().await;
        assert_eq!((ticket.status.as_str(), ticket.badges.len()), (TODO, 0), "{ticket:?}");
        assert_eq!(self.commits_of(&[&job.id]).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_a_pr_stops_a_task_before_its_claim() {
    let desk = ReviewWorld::start(ReviewSetup { task: || Task::Waiting, ..ReviewSetup::default() }).await;
    desk.request_changes("Not yet.", &[]).await;
    let job = desk.revision().await;
    let task = desk.story.wait_for_task(&job.id, 1).await;
    desk.set_state("closed").await;
    desk.assert_cancelled_by_close(&job.id, "closed").await;
    desk.story.wait_for_stopped_task(&task).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreported_close_is_detected_when_the_review_is_read() {
    let desk = ReviewWorld::start(ReviewSetup { install_hook: false, ..ReviewSetup::default() }).await;
    let calls = CallFilter { method: Some("GET".into()), path: format!("/pulls/{}/reviews", desk.number) };
    // The client does not retry a 501 at once.
    desk.story.local.forge().inject_fault(calls, 1, Fault::status(501));
    desk.request_changes("Not yet.", &[]).await;
    desk.story.api.revise_pull_request(&desk.revise_request("Do it."), None).await.unwrap();
    let job = desk.revision().await;
    desk.story.wait_for_empty_queues().await;
    desk.set_state("closed").await;
    desk.story.advance_and_sweep(Duration::from_secs(60)).await;
    desk.assert_cancelled_by_close(&job.id, "closed").await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_a_pr_stops_the_agent_and_refuses_waiting_reviews() {
    let desk = ReviewWorld::with_blocked_agents().await;
    desk.request_changes("First.", &[]).await;
    let job = desk.revision().await;
    desk.prompt(&job.id).await;
    let waits = desk.request_changes("Second.", &[]).await;
    assert_eq!(desk.ledger_entry(waits).await.code, "held_for_job");
    desk.set_state("closed").await;
    desk.assert_cancelled_by_close(&job.id, "closed").await;
    desk.wait_for_status("success", "is closed").await;
    let entry = desk.ledger_entry(waits).await;
    assert_eq!(entry.code, "pull_request_closed", "{}", entry.sentence);
    assert_eq!(desk.why().await.held_until, None);
    let late = desk.request_changes("Third.", &[]).await;
    assert_eq!(desk.ledger_entry(late).await.code, "pull_request_closed");
    desk.unblock_agents();
    desk.set_state("open").await;
    let next = desk.request_changes("Fourth.", &[]).await;
    assert_eq!(desk.ledger_entry(next).await.code, "held_until");
    desk.story.advance_and_sweep(HOUR).await;
    let next = desk.story.wait_for_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("Fourth."), "{prompt}");
    desk.wait_for_completion(&next.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_refuses_waiting_reviews() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.request_changes("First.", &[]).await;
    let job = desk.revision().await;
    desk.wait_for_completion(&job.id).await;
    desk.story.advance_and_sweep(Duration::from_secs(1)).await;
    let waits = desk.request_changes("Second.", &[]).await;
    assert_eq!(desk.ledger_entry(waits).await.code, "held_until");
    desk.story.local.forge().merge(REPOSITORY, desk.number, ANN).await.unwrap();
    desk.story.local.forge().wait_for_deliveries().await;
    desk.story.wait_for_empty_queues().await;
    assert_eq!(desk.ledger_entry(waits).await.code, "pull_request_closed");
    assert_eq!(desk.why().await.state, PullRequestState::Merged);
    assert_eq!(desk.wait_for_synced_ticket().await.status, "Done");
    // `why` names the refused revision, because the ticket itself was not refused.
    let output = User::of(&desk.story).ok(&["why", KEY]).await;
    let label = format!("{REPOSITORY}#{}", desk.number);
    let refused = format!("No job was started for the last request to revise {label}: {label} is merged.");
    assert_eq!(output.trim_end(), refused);
    desk.story.advance_and_sweep(HOUR).await;
    desk.story.wait_for_empty_queues().await;
    assert_eq!(desk.story.revisions().await.len(), 1);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_of_a_closed_pull_request_returns_to_todo() {
    let desk = ReviewWorld::with_job_pull_request().await;
    assert_eq!(desk.wait_for_synced_ticket().await.status, "In Review");
    desk.set_state("closed").await;
    let ticket = desk.wait_for_synced_ticket().await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (TODO, 0), "{ticket:?}");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_review_starts_from_its_card() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.request_changes("First.", &[]).await;
    let job = desk.revision().await;
    desk.wait_for_completion(&job.id).await;
    desk.story.advance_and_sweep(Duration::from_secs(1)).await;
    let waits = desk.request_changes("Second.", &[]).await;
    assert_eq!(desk.ledger_entry(waits).await.code, "held_until");
    let browser = Browser::admin(&desk.story).await;
    let board = browser.get("/board?project=acme").await;
    board.assert_contains(&["A review waits; its job may start in ", "Start now"]);
    browser.get(&format!("/tickets/{KEY}?project=acme")).await.assert_contains(&["Start now"]);
    let (_, rest) = board.body.split_once("name=\"form_key\" value=\"start-").unwrap();
    let form_key = format!("start-{}", rest.split('"').next().unwrap());
    let form = [("project", "acme"), ("ticket", KEY), ("form_key", form_key.as_str())];
    let started = browser.post("/pulls/revise", &form).await.redirect().1.to_owned();
    let delivery = started.split("decision=").nth(1).unwrap().parse().unwrap();
    assert_eq!(desk.story.api.delivery(&delivery).await.unwrap().code, "held_with_others", "one job for both");
    assert_eq!(browser.post("/pulls/revise", &form).await.status, 303, "a second click is the same request");
    let next = desk.story.wait_for_revision(2).await;
    assert!(desk.prompt(&next.id).await.contains("Second."));
    desk.wait_for_completion(&next.id).await;
    assert_eq!(desk.story.revisions().await.len(), 2);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_review_is_revised_after_turning_revisions_on() {
    let settings = |settings: &mut Settings| settings.revise_on_review = false;
    let desk = ReviewWorld::start(ReviewSetup { settings, ..ReviewSetup::default() }).await;
    let refused = desk.request_changes("Not yet.", &[]).await;
    assert_eq!(desk.ledger_entry(refused).await.code, "retrigger_disabled");
    let browser = Browser::admin(&desk.story).await;
    let page = browser.get(&format!("/tickets/{KEY}?project=acme")).await;
    page.assert_contains(&["Revising on review is switched off", "Turn on and revise"]);
    let form = [("project", "acme"), ("ticket", KEY), ("turn_on", "1"), ("form_key", "k1")];
    let started = browser.post("/pulls/revise", &form).await;
    assert!(started.redirect().1.starts_with("/jobs/"), "{}", started.body);
    let job = desk.revision().await;
    assert!(desk.prompt(&job.id).await.contains("Not yet."));
    desk.wait_for_completion(&job.id).await;
    assert!(desk.story.api.project(&desk.story.project).await.unwrap().settings.revise_on_review);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_revise_their_own_pull_request_of_a_shared_ticket() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    let newer = desk.open_pull_request("newer").await;
    desk.link(newer, KEY).await;
    desk.block_agents();
    let of_the_older = desk.request_changes("Not here.", &[]).await;
    let first = desk.revision().await;
    desk.prompt(&first.id).await;
    let forge = desk.story.local.forge();
    let of_the_newer = forge.request_changes(REPOSITORY, newer, ANN, "Nor there.", &[]).await.unwrap();
    forge.wait_for_deliveries().await;
    assert_eq!(desk.ledger_entry(of_the_newer).await.code, "held_for_job");
    desk.unblock_agents();
    let first = desk.wait_for_completion(&first.id).await;
    assert_eq!(first.result.unwrap().number, desk.number);
    // Each pull request has its own hour.
    let next = desk.story.wait_for_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("Nor there.") && !prompt.contains("Not here."), "{prompt}");
    let next = desk.wait_for_completion(&next.id).await;
    assert_eq!(next.result.unwrap().number, newer);
    for (review, job) in [(of_the_older, &first.id), (of_the_newer, &next.id)] {
        assert_eq!(desk.ledger_entry(review).await.job.as_ref(), Some(job));
    }
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_commit_during_a_revision_becomes_the_parent() {
    let desk = ReviewWorld::with_blocked_agents().await;
    desk.request_changes("Not yet.", &[("change.txt", 1, "This.")]).await;
    let job = desk.revision().await;
    desk.prompt(&job.id).await;
    let theirs = desk.commit("feature", "theirs.txt", "mine\n").await;
    desk.story.local.forge().wait_for_deliveries().await;
    desk.unblock_agents();
    let job = desk.wait_for_completion(&job.id).await;
    desk.assert_one_commit_and_replies(&[&job.id], 1).await;
    let head = job.result.unwrap().head;
    assert_eq!(desk.story.git(&["rev-parse", &format!("{head}^")]).await, theirs, "the user's commit is our parent");
    desk.wait_for_status("success", "revised").await;
    desk.end().await;
}
