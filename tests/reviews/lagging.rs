//! Tests that each review gets one decision and one revision while DynamoDB indexes and eventual reads lag.

use super::world::{HOUR, KEY, ReviewSetup, ReviewWorld};
use crate::lag::LagProxy;
use crate::story::wait_until;
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use std::time::Duration;

const SEEDS: std::ops::Range<u64> = 0..2;

async fn start_behind(lag: LagProxy) -> (ReviewWorld, LagProxy) {
    (ReviewWorld::start(ReviewSetup { before_dynamodb: Some(lag.between()), ..ReviewSetup::default() }).await, lag)
}

/// Advances the clock and the sweeper until `look` succeeds; a lagging index may need several rounds.
async fn sweep_until(desk: &ReviewWorld, by: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<(), String>) {
    wait_until(what, async || {
        desk.story.advance_and_sweep(by).await;
        desk.story.wait_for_empty_queues().await;
        desk.story.local.forge().wait_for_deliveries().await;
        look().await
    })
    .await;
}

async fn sweep_until_revisions(desk: &ReviewWorld, by: Duration, count: usize) {
    sweep_until(desk, by, "the revisions are made", async || {
        let made = desk.revisions().await.len();
        if made >= count { Ok(()) } else { Err(format!("{made} of {count}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_review_gets_one_job_while_reads_lag() {
    for seed in SEEDS {
        let (desk, lag) = start_behind(LagProxy::start(seed).await).await;
        let first = desk.request_changes("First.", &[("change.txt", 1, "One.")]).await;
        sweep_until_revisions(&desk, Duration::from_secs(61), 1).await;
        let job = desk.revision().await;
        assert_eq!(desk.sweep_until_ended(&job.id).await.status, JobStatus::Completed);
        let second = desk.request_changes("Second.", &[("change.txt", 2, "Two.")]).await;
        sweep_until_revisions(&desk, HOUR, 2).await;
        let next = desk.nth_revision(2).await;
        assert_eq!(desk.sweep_until_ended(&next.id).await.status, JobStatus::Completed);
        for _ in 0..3 {
            desk.story.advance_and_sweep(HOUR).await;
            desk.story.wait_for_empty_queues().await;
        }
        lag.catch_up().await;
        for (review, job) in [(first, &job), (second, &next)] {
            let entry = desk.ledger_entry(review).await;
            let again = desk.story.api.replay_delivery(&entry.id).await.unwrap();
            assert_eq!((again.code.as_str(), again.job.as_ref()), ("repeat", Some(&job.id)));
        }
        lag.catch_up().await;
        assert_eq!(desk.revisions().await.len(), 2);
        assert_eq!((desk.commits_of(&[&job.id]).await, desk.commits_of(&[&next.id]).await), (1, 1));
        desk.end().await;
    }
}

async fn active_job(desk: &ReviewWorld) -> JobId {
    wait_until("the review has its job", async || {
        desk.story.ticket(KEY).await.active_job.ok_or_else(|| "none".to_owned())
    })
    .await
}

/// Eventual reads return the state before the review, so only hints, one each, continue the work.
#[tokio::test(flavor = "multi_thread")]
async fn review_is_answered_while_eventual_reads_are_stale() {
    let (desk, lag) = start_behind(LagProxy::still().await).await;
    desk.story.wait_for_empty_queues().await;
    lag.catch_up().await;
    desk.block_agents();
    desk.request_changes("Not yet.", &[("change.txt", 1, "This.")]).await;
    let job = active_job(&desk).await;
    desk.unblock_agents();
    let job = desk.wait_for_completion(&job).await;
    desk.wait_for_status("success", "revised 2 files").await;
    lag.catch_up().await;
    desk.assert_one_commit_and_replies(&[&job.id], 1).await;
    desk.end().await;
}
