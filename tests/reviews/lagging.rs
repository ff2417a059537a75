//! Tests that each review gets one decision and one revision while DynamoDB indexes and eventual reads lag.

use super::desk::{Begin, Desk, HOUR, KEY};
use crate::lag::Lagging;
use crate::story::until;
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use std::time::Duration;

const SEEDS: std::ops::Range<u64> = 0..2;

async fn before(lag: Lagging) -> (Desk, Lagging) {
    (Desk::begin(Begin { between: Some(lag.between()), ..Begin::default() }).await, lag)
}

/// Advances the clock and the sweeper until `look` succeeds; a lagging index may need several rounds.
async fn swept(desk: &Desk, by: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<(), String>) {
    until(what, async || {
        desk.story.pass(by).await;
        desk.story.quiet().await;
        desk.story.local.forge().deliveries_settled().await;
        look().await
    })
    .await;
}

async fn swept_to_revisions(desk: &Desk, by: Duration, count: usize) {
    swept(desk, by, "the revisions are made", async || {
        let made = desk.revisions().await.len();
        if made >= count { Ok(()) } else { Err(format!("{made} of {count}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_review_gets_one_job_while_reads_lag() {
    for seed in SEEDS {
        let (desk, lag) = before(Lagging::start(seed).await).await;
        let first = desk.ask("First.", &[("change.txt", 1, "One.")]).await;
        swept_to_revisions(&desk, Duration::from_secs(61), 1).await;
        let job = desk.revision().await;
        assert_eq!(desk.swept_until_ended(&job.id).await.status, JobStatus::Completed);
        let second = desk.ask("Second.", &[("change.txt", 2, "Two.")]).await;
        swept_to_revisions(&desk, HOUR, 2).await;
        let next = desk.nth_revision(2).await;
        assert_eq!(desk.swept_until_ended(&next.id).await.status, JobStatus::Completed);
        for _ in 0..3 {
            desk.story.pass(HOUR).await;
            desk.story.quiet().await;
        }
        lag.catch_up().await;
        for (review, job) in [(first, &job), (second, &next)] {
            let entry = desk.entry(review).await;
            let again = desk.story.api.replay_delivery(&entry.id).await.unwrap();
            assert_eq!((again.code.as_str(), again.job.as_ref()), ("repeat", Some(&job.id)));
        }
        lag.catch_up().await;
        assert_eq!(desk.revisions().await.len(), 2);
        assert_eq!((desk.commits_of(&[&job.id]).await, desk.commits_of(&[&next.id]).await), (1, 1));
        desk.end().await;
    }
}

/// Waits for the job of a review. Reads the ticket, because a lagging list omits the job.
async fn its_job(desk: &Desk) -> JobId {
    until("the review has its job", async || desk.story.ticket(KEY).await.active_job.ok_or_else(|| "none".to_owned()))
        .await
}

/// Eventual reads return the state before the review, so only hints, one each, continue the work.
#[tokio::test(flavor = "multi_thread")]
async fn review_is_answered_while_eventual_reads_are_stale() {
    let (desk, lag) = before(Lagging::still().await).await;
    desk.story.quiet().await;
    lag.catch_up().await;
    desk.wait();
    desk.ask("Not yet.", &[("change.txt", 1, "This.")]).await;
    let job = its_job(&desk).await;
    desk.go();
    let job = desk.completed(&job).await;
    desk.told("success", "revised 2 files").await;
    lag.catch_up().await;
    desk.is_answered_once(&[&job.id], 1).await;
    desk.end().await;
}
