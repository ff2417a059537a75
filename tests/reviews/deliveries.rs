//! Tests duplicate and lost reports of a review: two webhooks, polling, redelivery and loss lead to one job.

use super::world::{HOUR, KEY, ReviewWorld};
use crate::prelude::*;
use crate::story::Tasks;

#[tokio::test(flavor = "multi_thread")]
async fn review_reported_by_two_webhooks_and_poll_makes_one_job() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.install_hook("second").await;
    desk.story.set_ingress(REPOSITORY, Ingress::Poll).await;
    desk.block_agents();
    let review = desk.request_changes("Not yet.", &[("change.txt", 1, "This.")]).await;
    let job = desk.revision().await;
    desk.prompt(&job.id).await;
    for _ in 0..6 {
        // A pause of the sweeper, after which no attempt counts as silent: the runner's heartbeats follow real time.
        desk.story.advance_and_sweep(Duration::from_secs(70)).await;
        desk.story.wait_for_empty_queues().await;
    }
    let entry = desk.ledger_entry(review).await;
    assert_eq!((entry.code.as_str(), entry.job.as_ref()), ("accepted", Some(&job.id)));
    let again = desk.story.api.replay_delivery(&entry.id).await.unwrap();
    assert_eq!((again.code.as_str(), again.job.as_ref()), ("repeat", Some(&job.id)));
    desk.unblock_agents();
    desk.wait_for_completion(&job.id).await;
    desk.story.advance_and_sweep(HOUR).await;
    desk.story.wait_for_empty_queues().await;
    assert_eq!(desk.story.revisions().await.len(), 1);
    desk.assert_one_commit_and_replies(&[&job.id], 1).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_missed_before_a_restart_are_found_after_it() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    let forge = desk.story.local.forge();
    forge.inject_delivery_fault(1, DeliveryFault::NotSent);
    forge.inject_delivery_fault(1, DeliveryFault::NotRecorded);
    forge.inject_delivery_fault(1, DeliveryFault::ResponseLost);
    let mut reviews = Vec::new();
    for text in ["Never sent.", "Forgotten.", "Lost its answer."] {
        reviews.push(desk.request_changes(text, &[]).await);
    }
    let desk = desk.restart(Tasks::Die).await;
    for _ in 0..3 {
        desk.story.advance_and_sweep(Duration::from_secs(301)).await;
        desk.story.wait_for_empty_queues().await;
        desk.story.local.forge().wait_for_deliveries().await;
    }
    let first = &desk.story.revisions().await[0];
    desk.sweep_until_ended(&first.id).await;
    desk.story.advance_and_sweep(HOUR).await;
    desk.story.wait_for_empty_queues().await;
    let jobs = desk.story.revisions().await;
    for job in &jobs {
        desk.sweep_until_ended(&job.id).await;
    }
    let mut prompts = String::new();
    for job in &jobs {
        prompts += &desk.prompt(&job.id).await;
    }
    for text in ["Never sent.", "Forgotten.", "Lost its answer."] {
        assert_eq!(prompts.matches(text).count(), 1, "{text}: {prompts}");
    }
    for review in reviews {
        let entry = desk.ledger_entry(review).await;
        assert!(entry.job.is_some(), "{}", entry.sentence);
    }
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn review_before_linking_is_found_by_polling() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    // The review arrives before the job that opened the pull request has ended.
    desk.story.api.unlink_pull_request(&desk.pull_request_query()).await.unwrap();
    let review = desk.request_changes("Not yet.", &[]).await;
    assert_eq!(desk.ledger_entry(review).await.code, "no_linked_ticket");
    desk.link(desk.number, KEY).await;
    let look = async || {
        desk.story.advance_and_sweep(Duration::from_secs(301)).await;
        desk.story.wait_for_empty_queues().await;
    };
    look().await;
    let job = desk.revision().await;
    assert_eq!(desk.ledger_entry(review).await.job.as_ref(), Some(&job.id));
    desk.wait_for_completion(&job.id).await;
    look().await;
    assert_eq!(desk.story.revisions().await.len(), 1);
    desk.end().await;
}
