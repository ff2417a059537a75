//! Reviews while indexes and copies lag behind what was written: each gets one answer, and is answered once.

use super::desk::{Begin, Desk, HOUR, KEY, repository};
use crate::lag::Lagging;
use crate::story::until;
use pullyard_domain::hook::Ingress;
use pullyard_domain::id::{HookName, JobId};
use pullyard_domain::job::Status;
use pullyard_fake_forge::{DeliveryFault, TestForge as _};
use pullyard_protocol::hook::{RecoverHook, SetIngress};
use std::time::Duration;

/// Each story is told under these.
const SEEDS: std::ops::Range<u64> = 0..2;

async fn before(lag: Lagging) -> (Desk, Lagging) {
    (Desk::begin(Begin { between: Some(lag.between()), ..Begin::default() }).await, lag)
}

/// Time passes, and the sweeper goes round in it, until it is so: an index that lags shows it to one of the next rounds.
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
async fn a_review_that_waits_for_its_hour_gets_its_one_job_while_reads_lag() {
    for seed in SEEDS {
        let (desk, lag) = before(Lagging::start(seed).await).await;
        let first = desk.ask("First.", &[("change.txt", 1, "One.")]).await;
        swept_to_revisions(&desk, Duration::from_secs(61), 1).await;
        let job = desk.revision().await;
        assert_eq!(desk.swept_until_ended(&job.id).await.status, Status::Completed);
        let second = desk.ask("Second.", &[("change.txt", 2, "Two.")]).await;
        swept_to_revisions(&desk, HOUR, 2).await;
        let next = desk.nth_revision(2).await;
        assert_eq!(desk.swept_until_ended(&next.id).await.status, Status::Completed);
        // More rounds, and the same told once more, change nothing.
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

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_nobody_told_is_found_once_while_reads_lag() {
    for seed in SEEDS {
        let (desk, lag) = before(Lagging::start(seed).await).await;
        let set = SetIngress { repository: repository(), ingress: Ingress::Poll };
        desk.story.api.set_ingress(&desk.story.project, &set).await.unwrap();
        desk.story.local.forge().order_delivery_fault(1, DeliveryFault::Forgotten);
        desk.wait();
        let review = desk.ask("Not yet.", &[("change.txt", 1, "This.")]).await;
        swept_to_revisions(&desk, Duration::from_secs(61), 1).await;
        // Whoever looks after it finds what is there already, however late that is seen.
        for _ in 0..3 {
            desk.story.pass(Duration::from_secs(301)).await;
            desk.story.quiet().await;
            desk.story.api.recover_hook(&HookName::new("acme").unwrap(), &RecoverHook::default()).await.unwrap();
        }
        desk.go();
        let job = desk.revision().await;
        assert_eq!(desk.swept_until_ended(&job.id).await.status, Status::Completed);
        lag.catch_up().await;
        let entry = desk.entry(review).await;
        assert_eq!((entry.code.as_str(), entry.job.as_ref()), ("accepted", Some(&job.id)));
        assert_eq!(desk.revisions().await.len(), 1);
        desk.is_answered_once(&[&job.id], 1).await;
        desk.end().await;
    }
}

/// The job that a review gets, by the ticket: a list would not show it.
async fn its_job(desk: &Desk) -> JobId {
    until("the review has its job", async || desk.story.ticket(KEY).await.active_job.ok_or_else(|| "none".to_owned()))
        .await
}

/// Whatever is read for half the price is as it was before the review: only hints lead on, each once.
#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_read_told_and_answered_though_every_copy_is_of_the_moment_before() {
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

/// The copies know the job as it works: its sentence is not to stay when it has ended.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_revision_is_told_though_every_copy_shows_it_at_work() {
    let (desk, lag) = before(Lagging::still().await).await;
    desk.story.quiet().await;
    lag.catch_up().await;
    desk.wait();
    desk.ask("Not yet.", &[("change.txt", 1, "This.")]).await;
    let job = its_job(&desk).await;
    desk.prompt(&job).await;
    desk.told("pending", "works on the requested changes").await;
    lag.catch_up().await;
    desk.go();
    desk.completed(&job).await;
    desk.told("success", "revised 2 files").await;
    desk.end().await;
}
