//! Tests reads that lag behind writes, each item by a different time: no work is lost or done twice.

mod proxy;

pub(crate) use proxy::LagProxy;

use crate::runners::RunnerProcess;
use crate::story::{Setup, Story, TODO, TRIGGER, Task, enter_phases, failed_finish, wait_until};
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::{Compute, OfflinePolicy, Settings};
use pullyard_local::HintDelivery;
use pullyard_protocol::attempt::{Phase, StatusRequest};
use std::collections::BTreeSet;
use std::time::Duration;

const SEEDS: std::ops::Range<u64> = 0..3;
/// Longer than the time limit of a wake-up.
const WAKE: Duration = Duration::from_secs(61);
/// Longer than the grace period for a finish after a death.
const GRACE: Duration = Duration::from_secs(16);

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

async fn sweep_until_status(story: &Story, job: &JobId, status: JobStatus) {
    sweep_until(story, "the job gets there", async || {
        let job = story.api.job(job).await.unwrap();
        if job.status == status { Ok(()) } else { Err(format!("{job:?}")) }
    })
    .await;
}

async fn sweep_until_tasks(story: &Story, job: &JobId, tasks: usize) {
    sweep_until(story, "the task is asked for", async || {
        let asked = story.list_tasks(job).await.len();
        if asked == tasks { Ok(()) } else { Err(format!("{asked} tasks")) }
    })
    .await;
}

async fn assert_ticket_failed(story: &Story, key: &str) {
    let ticket = sweep_until(story, "the ticket settles", async || {
        let ticket = story.ticket(key).await;
        if ticket.synced && ticket.active_job.is_none() { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
}

/// Asserts that no work is due or waiting, and counts the jobs.
async fn assert_idle(story: &Story, lag: &LagProxy, jobs: usize) {
    story.wait_for_empty_queues().await;
    lag.catch_up().await;
    assert_eq!(story.jobs().await.len(), jobs);
    story.clock.advance(Duration::from_secs(86_400));
    let swept = story.api.sweep().await.unwrap();
    assert_eq!(swept.looked_at, swept.looks, "more than the repository's poll is due: {swept:?}");
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
        story.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn job_without_hints_starts_once_per_attempt_under_lag() {
    for seed in SEEDS {
        let setup = Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() };
        let (story, lag) = story_with_lag(seed, setup).await;
        let job = story.create_job("e1", "APP-1", 1).await;
        story.clock.advance(WAKE);
        sweep_until_tasks(&story, &job, 1).await;
        for _ in 0..5 {
            story.local.sweep().await.unwrap();
            story.wait_for_empty_queues().await;
        }
        assert_eq!(story.list_tasks(&job).await.len(), 1, "another task was started");
        let task = story.wait_for_task(&job, 1).await;
        story.claim(&job, "c1").await.unwrap();
        story.kill_task(&task).await;
        story.wait_for_noted_death(&job).await;
        story.clock.advance(GRACE);
        sweep_until_status(&story, &job, JobStatus::Ready).await;
        story.clock.advance(WAKE);
        sweep_until_tasks(&story, &job, 2).await;
        for _ in 0..5 {
            story.local.sweep().await.unwrap();
            story.wait_for_empty_queues().await;
        }
        assert_eq!(story.list_tasks(&job).await.len(), 2);
        assert_eq!(story.load_job_item(&job).await["requeues"], 1);
        let (assignment, client) = story.claim(&job, "c2").await.unwrap();
        assert_eq!(assignment.attempt, 2);
        enter_phases(&client, Phase::Executing).await;
        client.finish(&failed_finish("f1")).await.unwrap();
        assert_ticket_failed(&story, "APP-1").await;
        assert_idle(&story, &lag, 1).await;
        story.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_claimed_once_and_requeued_once_under_lag() {
    for seed in SEEDS {
        let settings =
            Settings { compute: Compute::Runners, offline: OfflinePolicy::Requeue, ..Setup::default().settings };
        let (story, lag) = story_with_lag(seed, Setup { task: Task::Waiting, settings, ..Setup::default() }).await;
        let token = story.runner_token("t", None, None).await;
        let (kite, gull) =
            (story.register_runner(&token, "kite", "i1").await, story.register_runner(&token, "gull", "i1").await);
        let mut jobs = BTreeSet::new();
        for number in 0..4 {
            jobs.insert(story.create_job(&format!("e{number}"), &format!("APP-{number}"), 1).await);
        }
        story.local.sweep().await.unwrap();
        let mut claimed: Vec<(JobId, usize)> = Vec::new();
        let mut claims = 0;
        wait_until("every job is claimed", async || {
            for (at, process) in [&kite, &gull].into_iter().enumerate() {
                claims += 1;
                claimed.extend(process.claim_job_id(&format!("c{claims}")).await.map(|job| (job, at)));
            }
            if claimed.len() >= jobs.len() { Ok(()) } else { Err(format!("{claimed:?}")) }
        })
        .await;
        assert_eq!(claimed.iter().map(|(job, _)| job.clone()).collect::<BTreeSet<_>>(), jobs);
        let (lost, kept): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|(_, at)| *at == 0);
        let (lost, kept) = (names(lost), names(kept));
        assert_eq!((lost.len(), kept.len()), (2, 2), "the runners did not claim two jobs each");
        // Only gull sends heartbeats.
        for _ in 0..12 {
            gull.report_active(&kept).await;
            story.advance_and_sweep(Duration::from_secs(10)).await;
        }
        for job in &lost {
            sweep_until_status(&story, job, JobStatus::Ready).await;
        }
        gull.report_active(&kept).await;
        for job in &kept {
            assert_eq!(story.api.job(job).await.unwrap().status, JobStatus::Claimed, "the online runner lost its job");
        }
        let swan: RunnerProcess = story.register_runner(&token, "swan", "i1").await;
        let mut again = BTreeSet::new();
        wait_until("what came back is claimed", async || {
            claims += 1;
            again.extend(swan.claim_job_id(&format!("c{claims}")).await);
            if again.len() == lost.len() { Ok(()) } else { Err(format!("{again:?}")) }
        })
        .await;
        assert_eq!(again, lost.iter().cloned().collect());
        for job in &lost {
            let stored = story.load_job_item(job).await;
            assert_eq!((&stored["requeues"], &stored["attempt"]), (&1.into(), &2.into()));
        }
        lag.catch_up().await;
        assert_eq!(story.jobs().await.len(), jobs.len());
        story.shut_down().await;
    }
}

fn names(of: Vec<(JobId, usize)>) -> Vec<JobId> {
    of.into_iter().map(|(job, _)| job).collect()
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
    story.shut_down().await;
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
    story.shut_down().await;
}
