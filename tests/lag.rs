//! Tests reads that lag behind writes, each item by a different time. The simulation walks many more such lives.

mod proxy;

pub(crate) use proxy::LagProxy;

use crate::prelude::*;

const SEEDS: std::ops::Range<u64> = 0..3;
/// Longer than the time limit of a wake-up.
const WAKE: Duration = Duration::from_secs(61);

async fn story_with_lag(seed: u64, setup: Setup) -> (Story, LagProxy) {
    story_behind(LagProxy::start(seed).await, setup).await
}

async fn story_behind(lag: LagProxy, setup: Setup) -> (Story, LagProxy) {
    let story = Story::start_with(Setup { before_dynamodb: Some(lag.between()), ..setup }).await;
    (story, lag)
}

/// Sweeps until the condition holds; a lagging index may hide an item from the first sweeps.
async fn sweep_until<T>(story: &Story, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    wait_until(what, async || {
        story.local.sweep().await.unwrap();
        look().await
    })
    .await
}

async fn assert_ticket_failed(story: &Story, key: &str) {
    let ticket = sweep_until(story, "the ticket settles", async || {
        let ticket = story.ticket(key).await;
        if ticket.synced && ticket.active_job.is_none() { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
}

async fn assert_idle(story: &Story, lag: &LagProxy, jobs: usize) {
    story.wait_for_empty_queues().await;
    lag.catch_up().await;
    assert_eq!(story.jobs().await.len(), jobs);
    story.clock.advance(Duration::from_secs(86_400));
    let swept = story.api.sweep().await.unwrap();
    assert_eq!(swept.checked, swept.polls, "more than the repository's poll is due: {swept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_entry_creates_one_job_with_one_task_under_lag() {
    for seed in SEEDS {
        let (story, lag) = story_with_lag(seed, Setup { task: Task::Waiting, ..Setup::default() }).await;
        let job = story.create_job("e1", "APP-1", 1).await;
        for _ in 0..4 {
            let again = story.send_ticket_event("e1", "APP-1", TRIGGER, 1).await;
            assert_eq!((again.verdict, again.job.as_ref()), (Verdict::Duplicate, Some(&job)));
            story.send_wake_up(&job).await;
        }
        story.wait_for_task(&job, 1).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        for _ in 0..4 {
            story.send_wake_up(&job).await;
            story.local.sweep().await.unwrap();
        }
        enter_phases(&client, Phase::Executing).await;
        // A second entry waits for the end of the job.
        let second = story.send_ticket_event("e2", "APP-1", TODO, 2).await;
        assert_eq!(second.job, None);
        let third = story.send_ticket_event("e3", "APP-1", TRIGGER, 3).await;
        assert_ne!(third.verdict, Verdict::Accepted, "{}", third.sentence);
        client.finish(&failed_finish("f1")).await.unwrap();
        let next = sweep_until(&story, "the second entry gets its job", async || {
            story.ticket("APP-1").await.active_job.ok_or("none".to_owned())
        })
        .await;
        assert_ne!(next, job);
        story.wait_for_empty_queues().await;
        assert_eq!((story.list_tasks(&job).await.len(), story.list_tasks(&next).await.len()), (1, 1));
        let (_, client) = story.claim(&next, "c2").await.unwrap();
        enter_phases(&client, Phase::Executing).await;
        client.finish(&failed_finish("f2")).await.unwrap();
        assert_ticket_failed(&story, "APP-1").await;
        assert_idle(&story, &lag, 2).await;
    }
}

/// Every eventually consistent read returns the job as it was created, until its end.
#[tokio::test(flavor = "multi_thread")]
async fn job_runs_to_its_end_with_only_stale_reads() {
    let (story, lag) = story_behind(LagProxy::still().await, Setup { task: Task::Waiting, ..Setup::default() }).await;
    story.local.aws().ecs().queue_outcomes(vec![pullyard_emulator::ecs::RunTaskOutcome::CapacityUnavailable]);
    let job = story.create_job("e1", "APP-1", 1).await;
    wait_until("the copies are of a start that was written down", async || {
        lag.catch_up().await;
        let job = story.load_job_item(&job).await;
        if job["dispatch"]["fault"].is_object() { Ok(()) } else { Err(job.to_string()) }
    })
    .await;
    story.wait_for_empty_queues().await;
    lag.catch_up().await;
    story.clock.advance(WAKE);
    for _ in 0..3 {
        story.send_wake_up(&job).await;
        story.wait_for_empty_queues().await;
    }
    assert_eq!(story.list_tasks(&job).await.len(), 1);
    let (first, client) = story.claim(&job, "c1").await.unwrap();
    let (again, _) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(first.lease, again.lease);
    enter_phases(&client, Phase::Executing).await;
    client.status(&StatusRequest { status: Phase::Executing, inputs: None }).await.unwrap();
    client.finish(&failed_finish("f1")).await.unwrap();
    client.finish(&failed_finish("f1")).await.unwrap();
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    assert_idle(&story, &lag, 1).await;
}

/// The event about the death arrives once, while a stale read shows the job as not claimed.
#[tokio::test(flavor = "multi_thread")]
async fn task_death_is_recorded_before_its_claim_is_visible() {
    let (story, lag) = story_behind(LagProxy::still().await, Setup { task: Task::Waiting, ..Setup::default() }).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let task = story.wait_for_task(&job, 1).await;
    story.wait_for_empty_queues().await;
    lag.catch_up().await;
    story.claim(&job, "c1").await.unwrap();
    story.kill_task(&task).await;
    story.wait_for_noted_death(&job).await;
    assert_eq!(story.load_job_item(&job).await["status"], "claimed");
}
