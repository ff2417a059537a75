//! Indexes and copies that lag behind what was written, each item by itself: nothing is lost, and nothing is done
//! twice.

mod between;

pub(crate) use between::Lagging;

use crate::runners::Process;
use crate::story::{Setup, Story, TODO, TRIGGER, Task, begin_all, failed, until};
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::JobId;
use pullyard_domain::job::Status;
use pullyard_domain::project::{Compute, OfflinePolicy, Settings};
use pullyard_local::Hints;
use pullyard_protocol::attempt::{Phase, StatusRequest};
use pullyard_protocol::job::CancelJob;
use std::collections::BTreeSet;
use std::time::Duration;

/// Each test is run under these.
const SEEDS: std::ops::Range<u64> = 0..3;
/// Longer than a wake-up may be on its way.
const WAKE: Duration = Duration::from_secs(61);
/// Longer than a finish may be on its way after a death.
const GRACE: Duration = Duration::from_secs(16);

/// A story whose reads lag.
async fn lagging(seed: u64, setup: Setup) -> (Story, Lagging) {
    before(Lagging::start(seed).await, setup).await
}

async fn before(lag: Lagging, setup: Setup) -> (Story, Lagging) {
    let story = Story::with(Setup { before_dynamodb: Some(lag.between()), ..setup }).await;
    (story, lag)
}

/// Goes round until it is so: an index that lags shows it to one of the next sweeps.
async fn swept<T>(story: &Story, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    until(what, async || {
        story.local.sweep().await.unwrap();
        look().await
    })
    .await
}

async fn swept_to(story: &Story, job: &JobId, status: Status) {
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

/// The ticket's job failed, and everything says so.
async fn failed_on(story: &Story, key: &str) {
    let ticket = swept(story, "the ticket settles", async || {
        let ticket = story.ticket(key).await;
        if ticket.synced && ticket.active_job.is_none() { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
}

/// Nothing is due or waits any more, and it never was more jobs.
async fn rests(story: &Story, lag: &Lagging, jobs: usize) {
    story.quiet().await;
    lag.catch_up().await;
    assert_eq!(story.jobs().await.len(), jobs);
    story.clock.advance(Duration::from_secs(86_400));
    let swept = story.api.sweep().await.unwrap();
    assert_eq!(swept.looked_at, swept.looks, "but the repository, which is polled for ever: {swept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_told_again_and_again_makes_one_job_with_one_task() {
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
        // Entered again while it works: that waits for its end.
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
async fn a_job_whose_every_hint_is_lost_is_started_once_and_again_only_when_its_task_died() {
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
        assert_eq!(story.tasks_of(&job).await.len(), 1, "one start is enough");
        let task = story.task_of(&job, 1).await;
        story.claim(&job, "c1").await.unwrap();
        story.kill(&task).await;
        story.died(&job).await;
        story.clock.advance(GRACE);
        swept_to(&story, &job, Status::Ready).await;
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
async fn every_waiting_job_goes_to_one_runner_and_comes_back_once_when_that_is_gone() {
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
        assert_eq!((lost.len(), kept.len()), (2, 2), "two slots each");
        // The one is not heard any more; the other is.
        for _ in 0..12 {
            gull.alive(&kept).await;
            story.pass(Duration::from_secs(10)).await;
        }
        for job in &lost {
            swept_to(&story, job, Status::Ready).await;
        }
        gull.alive(&kept).await;
        for job in &kept {
            assert_eq!(story.api.job(job).await.unwrap().status, Status::Claimed, "its runner was heard");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_and_an_overdue_job_end_once() {
    for seed in SEEDS {
        let (story, lag) = lagging(seed, Setup { task: Task::Waiting, ..Setup::default() }).await;
        let (one, two) = (story.job_for("e1", "APP-1", 1).await, story.job_for("e2", "APP-2", 1).await);
        for job in [&one, &two] {
            story.task_of(job, 1).await;
            let (_, client) = story.claim(job, "c1").await.unwrap();
            begin_all(&client, Phase::Executing).await;
        }
        story.api.cancel_job(&one, &CancelJob::default()).await.unwrap();
        story.clock.advance(WAKE);
        swept_to(&story, &one, Status::Cancelled).await;
        story.clock.advance(Duration::from_secs(86_400));
        swept_to(&story, &two, Status::Failed).await;
        failed_on(&story, "APP-2").await;
        for job in [&one, &two] {
            let job = story.job_until(job, |job| job.status.is_terminal()).await;
            assert_eq!(story.stored(&job.id).await["attempt"], 1);
        }
        rests(&story, &lag, 2).await;
        story.end().await;
    }
}

/// Everything that is read for half the price is the job as it was made, to its very end.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_its_way_though_every_copy_is_of_its_first_moment() {
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

/// The copy says that an entry still waits, and the retry of the job that it met has answered it.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_a_retry_answered_is_not_said_to_wait_for_the_retry() {
    let setup = Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() };
    let (story, lag) = before(Lagging::still().await, setup).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.tell("e2", "APP-1", TODO, 2).await;
    let met = story.tell("e3", "APP-1", TRIGGER, 3).await;
    assert_eq!(met.code, "job_active", "{}", met.sentence);
    story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    lag.catch_up().await;
    let retry = story.api.retry_job(&job, None).await.unwrap().job.unwrap();
    story.pass(WAKE).await;
    story.quiet().await;
    assert_eq!(story.ticket("APP-1").await.active_job, Some(retry));
    let entry = story.api.delivery(&met.delivery).await.unwrap();
    assert_eq!((entry.code, entry.sentence), (met.code, met.sentence), "it met the first job, and no other");
    story.end().await;
}

/// Its death is told once, and the copy still says that it was never claimed.
#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_a_task_is_noted_though_its_claim_is_not_seen_yet() {
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
