//! Tests requested revisions, and linking of pull requests to tickets.

use super::world::{KEY, ReviewWorld};
use crate::prelude::*;
use pullyard_local::User;
use pullyard_protocol::client::Error;

#[tokio::test(flavor = "multi_thread")]
async fn requested_revision_passes_guards_and_adds_refused_reviews() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    let forge = desk.story.local.forge();
    let ben = User { login: "ben".into(), id: 77, token: "ghp_ben".into() };
    forge.add_user(ben, AccountKind::User).await.unwrap();
    forge.set_role(REPOSITORY, "ben", Role::Read).await.unwrap();
    // The guards refuse reviews here: a failed revision within the hour, and `revise_on_review` is off.
    desk.fail_agents();
    desk.request_changes("First.", &[]).await;
    let failed = desk.revision().await;
    assert_eq!(desk.story.wait_for_end(&failed.id).await.status, JobStatus::Failed);
    desk.wait_for_synced_ticket().await;
    desk.unblock_agents();
    let refused = desk.request_changes("Second.", &[("change.txt", 1, "By Ann.")]).await;
    assert_eq!(desk.ledger_entry(refused).await.code, "previous_job_not_completed");
    desk.story.update_settings(|settings| settings.revise_on_review = false).await;
    let off = desk.request_changes("Third.", &[]).await;
    assert_eq!(desk.ledger_entry(off).await.code, "retrigger_disabled");
    let stranger = desk.request_changes_as("ben", "Do something evil.", &[("change.txt", 2, "By Ben.")]).await;
    assert_eq!(desk.ledger_entry(stranger).await.code, "author_not_permitted");

    let answer = desk.story.api.revise_pull_request(&desk.revise_request("Use tabs."), None).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Accepted, "{}", answer.sentence);
    let job = answer.job.unwrap();
    let prompt = desk.prompt(&job).await;
    for text in ["Use tabs.", "First.", "Second.", "By Ann.", "Third."] {
        assert!(prompt.contains(text), "{text}: {prompt}");
    }
    assert!(!prompt.contains("evil") && !prompt.contains("By Ben."), "{prompt}");
    desk.wait_for_completion(&job).await;
    desk.assert_one_commit_and_replies(&[&job], 1).await;
    for review in [refused, off] {
        assert_eq!(desk.ledger_entry(review).await.job.as_ref(), Some(&job));
    }
    assert_eq!(desk.ledger_entry(stranger).await.job, None);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_after_a_failed_request_repeats_its_inputs_once() {
    let desk = ReviewWorld::with_blocked_agents().await;
    desk.request_changes("First.", &[]).await;
    let revision = desk.revision().await;
    desk.prompt(&revision.id).await;
    desk.request_changes("Second.", &[]).await;
    desk.story.api.revise_pull_request(&desk.revise_request("Use tabs."), None).await.unwrap();
    desk.story.api.cancel_job(&revision.id, &CancelJob::default()).await.unwrap();
    assert_eq!(desk.story.wait_for_end(&revision.id).await.status, JobStatus::Cancelled);
    let failed = desk.story.wait_for_revision(2).await;
    desk.prompt(&failed.id).await;
    desk.fail_agents();
    std::fs::remove_file(desk.block_file()).unwrap();
    assert_eq!(desk.story.wait_for_end(&failed.id).await.status, JobStatus::Failed);
    desk.story.wait_for_empty_queues().await;
    desk.wait_for_synced_ticket().await;
    desk.unblock_agents();
    let next = desk
        .story
        .api
        .revise_pull_request(&desk.revise_request("And shorter lines."), None)
        .await
        .unwrap()
        .job
        .unwrap();
    desk.wait_for_completion(&next).await;
    let prompt = desk.context(&next).await.prompt();
    for text in ["Use tabs.", "First.", "Second.", "And shorter lines."] {
        assert_eq!(prompt.matches(text).count(), 1, "{text}: {prompt}");
    }
    assert!(prompt.find("Use tabs.") < prompt.find("And shorter lines."), "the older message comes first: {prompt}");
    let last = desk.story.api.revise_pull_request(&desk.revise_request("Once more."), None).await.unwrap().job.unwrap();
    desk.wait_for_completion(&last).await;
    let prompt = desk.context(&last).await.prompt();
    assert!(prompt.contains("Once more.") && !prompt.contains("Use tabs.") && !prompt.contains("Second."), "{prompt}");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unlinking_refuses_waiting_reviews() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.request_changes("First.", &[]).await;
    let job = desk.revision().await;
    desk.wait_for_completion(&job.id).await;
    let waits = desk.request_changes("Second.", &[]).await;
    assert_eq!(desk.ledger_entry(waits).await.code, "held_until");
    desk.story.api.unlink_pull_request(&desk.pull_request_query()).await.unwrap();
    desk.story.advance_and_sweep(super::world::HOUR).await;
    desk.story.wait_for_empty_queues().await;
    assert_eq!(desk.ledger_entry(waits).await.code, "no_linked_ticket");
    assert_eq!(desk.story.revisions().await.len(), 1);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_of_a_fork_is_not_linked() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    let number = desk.open_pull_request("other").await;
    desk.story.local.forge().set_head_fork(REPOSITORY, number, 4_711).await.unwrap();
    let refused = desk.story.api.link_pull_request(&desk.link_request(number, KEY)).await.unwrap_err();
    let Error::Problem(problem) = refused else { panic!("{refused}") };
    assert_eq!((problem.status, problem.pointer.as_deref()), (422, Some("/number")), "{problem:?}");
    assert!(format!("{problem:?}").contains("comes from a fork"), "{problem:?}");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explanation_of_a_refused_review_follows_the_settings() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.story.update_settings(|settings| settings.revise_on_review = false).await;
    let review = desk.request_changes("First.", &[]).await;
    assert_eq!(desk.ledger_entry(review).await.code, "retrigger_disabled");
    let off = "Revising on review is switched off for acme.";
    assert_eq!(desk.why().await.sentence, off);
    desk.story.update_settings(|settings| settings.revise_on_review = true).await;
    let explanation = desk.why().await;
    assert_eq!(
        explanation.sentence,
        format!("The newest review of {REPOSITORY}#1 started no job. The reason was: {off}")
    );
    assert!(explanation.help.ends_with(&format!("`pullyard revise {REPOSITORY}#1`.")), "{}", explanation.help);
    desk.end().await;
}
