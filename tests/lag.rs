//! Tests reads that lag behind writes, each item by a different time: no work is lost or done twice.

mod between;

pub(crate) use between::Lagging;

use crate::runners::Process;
use crate::story::{Setup, Story, TODO, TRIGGER, Task, begin_all, failed, until};
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::{Compute, OfflinePolicy, Settings};
use pullyard_local::Hints;
use pullyard_protocol::attempt::{Phase, StatusRequest};
use std::collections::BTreeSet;
use std::time::Duration;

const SEEDS: std::ops::Range<u64> = 0..3;
/// Longer than the time limit of a wake-up.
const WAKE: Duration = Duration::from_secs(61);
/// Longer than the grace period for a finish after a death.
const GRACE: Duration = Duration::from_secs(16);

async fn lagging(seed: u64, setup: Setup) -> (Story, Lagging) {
    before(Lagging::start(seed).await, setup).await
}

async fn before(lag: Lagging, setup: Setup) -> (Story, Lagging) {
    let story = Story::with(Setup { before_dynamodb: Some(lag.between()), ..setup }).await;
    (story, lag)
}

/// Sweeps until the condition holds; a lagging index may hide an item from the first sweeps.
async fn swept<T>(story: &Story, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    until(what, async || {
        story.local.sweep().await.unwrap();
        look().await
    })
    .await
}

async fn swept_to(story: &Story, job: &JobId, status: JobStatus) {
    swept(story, "the job gets there", async || {
        let job = story.api.job(job).await.unwrap();
        if job.status == status { Ok(()) } else { Err(format!("{job:?}")) }
    })
    .await;
}

async fn swept_until_asked(story: &Story, job: &JobId, tasks: usize) {
    swept(story, "the task is asked for", async || {
        let asked = story.tasks_of(job).await.len();
        if asked == tasks { Ok(()) } else { Err(format!("{asked} tasks")) }
    })
    .await;
}

async fn failed_on(story: &Story, key: &str) {
    let ticket = swept(story, "the ticket settles", async || {
        let ticket = story.ticket(key).await;
        if ticket.synced && ticket.active_job.is_none() { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
}

/// Asserts that no work is due or waiting, and counts the jobs.
async fn rests(story: &Story, lag: &Lagging, jobs: usize) {
    story.quiet().await;
    lag.catch_up().await;
    assert_eq!(story.jobs().await.len(), jobs);
    story.clock.advance(Duration::from_secs(86_400));
    let swept = story.api.sweep().await.unwrap();
    assert_eq!(swept.looked_at, swept.looks, "more than the repository's poll is due: {swept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_entry_creates_one_job_with_one_task_under_lag() {
    for seed in SEEDS {
        let (story, lag) = lagging(seed, Setup { task: Task::Waiting, ..Setup::default() }).await;
        let job = story.job_for("e1", "APP-1", 1).await;
        for _ in 0..4 {
            let again = story.tell("e1", "APP-1", TRIGGER, 1).await;
            assert_eq!((again.verdict, again.job.as_ref()), (Verdict::Duplicate, Some(&job)));
            story.wake(&job).await;
        }
        story.task_of(&job, 1).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        for _ in 0..4 {
            story.wake(&job).await;
            story.local.sweep().await.unwrap();
        }
        begin_all(&client, Phase::Executing).await;
        // A second entry waits for the end of the job.
        let second = story.tell("e2", "APP-1", TODO, 2).await;
        assert_eq!(second.job, None);
        let third = story.tell("e3", "APP-1", TRIGGER, 3).await;
        assert_ne!(third.verdict, Verdict::Accepted, "{}", third.sentence);
        client.finish(&failed("f1")).await.unwrap();
        let next = swept(&story, "the second entry gets its job", async || {
            story.ticket("APP-1").await.active_job.ok_or("none".to_owned())
        })
        .await;
        assert_ne!(next, job);
        story.quiet().await;
        assert_eq!((story.tasks_of(&job).await.len(), story.tasks_of(&next).await.len()), (1, 1));
        let (_, client) = story.claim(&next, "c2").await.unwrap();
        begin_all(&client, Phase::Executing).await;
        client.finish(&failed("f2")).await.unwrap();
        failed_on(&story, "APP-1").await;
        rests(&story, &lag, 2).await;
        story.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn job_without_hints_starts_once_per_attempt_under_lag() {
    for seed in SEEDS {
        let setup = Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() };
        let (story, lag) = lagging(seed, setup).await;
        let job = story.job_for("e1", "APP-1", 1).await;
        story.clock.advance(WAKE);
        swept_until_asked(&story, &job, 1).await;
        for _ in 0..5 {
            story.local.sweep().await.unwrap();
            story.quiet().await;
        }
        assert_eq!(story.tasks_of(&job).await.len(), 1, "another task was started");
        let task = story.task_of(&job, 1).await;
        story.claim(&job, "c1").await.unwrap();
        story.kill(&task).await;
        story.died(&job).await;
        story.clock.advance(GRACE);
        swept_to(&story, &job, JobStatus::Ready).await;
        story.clock.advance(WAKE);
        swept_until_asked(&story, &job, 2).await;
        for _ in 0..5 {
            story.local.sweep().await.unwrap();
            story.quiet().await;
        }
        assert_eq!(story.tasks_of(&job).await.len(), 2);
        assert_eq!(story.stored(&job).await["requeues"], 1);
        let (assignment, client) = story.claim(&job, "c2").await.unwrap();
        assert_eq!(assignment.attempt, 2);
        begin_all(&client, Phase::Executing).await;
        client.finish(&failed("f1")).await.unwrap();
        failed_on(&story, "APP-1").await;
        rests(&story, &lag, 1).await;
        story.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_claimed_once_and_requeued_once_under_lag() {
    for seed in SEEDS {
        let settings =
            Settings { compute: Compute::Runners, offline: OfflinePolicy::Requeue, ..Setup::default().settings };
        let (story, lag) = lagging(seed, Setup { task: Task::Waiting, settings, ..Setup::default() }).await;
        let token = story.runner_token("t", None, None).await;
        let (kite, gull) = (story.runner(&token, "kite", "i1").await, story.runner(&token, "gull", "i1").await);
        let mut jobs = BTreeSet::new();
        for number in 0..4 {
            jobs.insert(story.job_for(&format!("e{number}"), &format!("APP-{number}"), 1).await);
        }
        story.local.sweep().await.unwrap();
        let mut claimed: Vec<(JobId, usize)> = Vec::new();
        let mut claims = 0;
        until("every job is claimed", async || {
            for (at, process) in [&kite, &gull].into_iter().enumerate() {
                claims += 1;
                claimed.extend(process.try_claim(&format!("c{claims}")).await.map(|job| (job, at)));
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
            gull.alive(&kept).await;
            story.pass(Duration::from_secs(10)).await;
        }
        for job in &lost {
            swept_to(&story, job, JobStatus::Ready).await;
        }
        gull.alive(&kept).await;
        for job in &kept {
            assert_eq!(story.api.job(job).await.unwrap().status, JobStatus::Claimed, "the online runner lost its job");
        }
        let swan: Process = story.runner(&token, "swan", "i1").await;
        let mut again = BTreeSet::new();
        until("what came back is claimed", async || {
            claims += 1;
            again.extend(swan.try_claim(&format!("c{claims}")).await);
            if again.len() == lost.len() { Ok(()) } else { Err(format!("{again:?}")) }
        })
        .await;
        assert_eq!(again, lost.iter().cloned().collect());
        for job in &lost {
            let stored = story.stored(job).await;
            assert_eq!((&stored["requeues"], &stored["attempt"]), (&1.into(), &2.into()));
        }
        lag.catch_up().await;
        assert_eq!(story.jobs().await.len(), jobs.len());
        story.end().await;
    }
}

fn names(of: Vec<(JobId, usize)>) -> Vec<JobId> {
    of.into_iter().map(|(job, _)| job).collect()
}

/// Every eventually consistent read returns the job as it was created, until its end.
#[tokio::test(flavor = "multi_thread")]
async fn job_runs_to_its_end_with_only_stale_reads() {
    let (story, lag) = before(Lagging::still().await, Setup { task: Task::Waiting, ..Setup::default() }).await;
    story.local.aws().ecs().script(vec![pullyard_emulator::ecs::Outcome::CapacityUnavailable]);
    let job = story.job_for("e1", "APP-1", 1).await;
    until("the copies are of a start that was written down", async || {
        lag.catch_up().await;
        let job = story.stored(&job).await;
        if job["dispatch"]["fault"].is_object() { Ok(()) } else { Err(job.to_string()) }
    })
    .await;
    story.quiet().await;
    lag.catch_up().await;
    story.clock.advance(WAKE);
    for _ in 0..3 {
        story.wake(&job).await;
        story.quiet().await;
    }
    assert_eq!(story.tasks_of(&job).await.len(), 1);
    let (first, client) = story.claim(&job, "c1").await.unwrap();
    let (again, _) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(first.lease, again.lease);
    begin_all(&client, Phase::Executing).await;
    client.status(&StatusRequest { status: Phase::Executing, inputs: None }).await.unwrap();
    client.finish(&failed("f1")).await.unwrap();
    client.finish(&failed("f1")).await.unwrap();
    let ticket = story.settled("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    rests(&story, &lag, 1).await;
    story.end().await;
}

/// The event about the death arrives once, while a stale read shows the job as not claimed.
#[tokio::test(flavor = "multi_thread")]
async fn task_death_is_recorded_before_its_claim_is_visible() {
    let (story, lag) = before(Lagging::still().await, Setup { task: Task::Waiting, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    story.quiet().await;
    lag.catch_up().await;
    story.claim(&job, "c1").await.unwrap();
    story.kill(&task).await;
    story.died(&job).await;
    assert_eq!(story.stored(&job).await["status"], "claimed");
    story.end().await;
}
