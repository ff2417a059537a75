//! Tests a review while eventually consistent reads are stale.

use super::world::{KEY, ReviewSetup, ReviewWorld};
use crate::lag::LagProxy;
use crate::prelude::*;

async fn start_behind(lag: LagProxy) -> (ReviewWorld, LagProxy) {
    (ReviewWorld::start(ReviewSetup { before_dynamodb: Some(lag.between()), ..ReviewSetup::default() }).await, lag)
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
