//! Account limits that attempts report: which breaker opens, for how long, and which usage is stored.

use crate::prelude::*;
use crate::world::{World, job_result};
use pullyard_control::attempt::{Finish, finish_attempt, set_phase};
use pullyard_control::{Counter, Error, pause_job};
use pullyard_domain::agent::breaker::{Account, KeyOwner, START_SPREAD};
use pullyard_domain::job::select::ClassRequirements;
use pullyard_domain::job::{AgentReport, AttemptEnd, End, JobPolicy};
use pullyard_domain::text::Until;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::ClassId;
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3_600);

fn settings_on(compute: Compute) -> Settings {
    Settings { compute, ..Settings::default() }
}

async fn advance_to(world: &World, job: &JobId, runner: Option<&Runner>, last: JobStatus) -> Fence {
    let fence = world.claim(job, runner).await;
    for phase in
        [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing].into_iter().filter(|phase| *phase <= last)
    {
        set_phase(&world.ctx, &fence, phase, None, None).await.unwrap();
    }
    fence
}

fn finish_with(id: &str, end: End) -> Finish {
    Finish { id: FinishId::new(id).unwrap(), end, spent_usd_micros: None, work: None, output: None }
}

fn quota_failure(ends: Timestamp) -> Failure {
    Failure::AgentQuota { time: Until(Some(ends)) }
}

fn usage() -> AgentReport {
    let usage = json!({
        "agent": "command", "session": "s1", "isolation": "none",
        "starts": 1, "turns": 2, "input_tokens": 30, "output_tokens": 4,
    });
    serde_json::from_value(usage).unwrap()
}

#[tokio::test]
async fn usage_is_stored_when_a_pause_meets_an_account_limit() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let job = world.job(&settings_on(Compute::Fargate)).await;
    let fence = advance_to(&world, &job.id, None, JobStatus::Executing).await;
    pause_job(ctx, &job.id, "ana").await.unwrap();
    let met = quota_failure(ctx.clock.now().plus(HOUR));
    let finish =
        Finish { spent_usd_micros: Some(1_500), work: Some(usage()), ..finish_with("f1", End::Failed(met, None)) };
    assert_eq!(finish_attempt(ctx, &fence, &finish).await.unwrap(), JobStatus::Paused);
    assert_eq!(world.load_job(&job.id).await.spent_usd_micros, 1_500);
    let attempt = ctx.store.list_attempts(&job.id).await.unwrap().remove(0);
    assert!(matches!(attempt.ended, AttemptEnd::Requeued { failure: Failure::AgentQuota { .. } }), "{attempt:?}");
    assert_eq!((attempt.work, attempt.spent_usd_micros), (Some(usage()), Some(1_500)));
}

#[tokio::test]
async fn unshared_account_opens_no_breaker_and_backs_off() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let job = world.job(&settings_on(Compute::Fargate)).await;
    for (times, secs) in [(1, 300), (2, 600), (3, 1_200)] {
        let fence = advance_to(&world, &job.id, None, JobStatus::Executing).await;
        let finish = finish_with(&format!("f{times}"), End::Failed(Failure::AgentOverloaded { n: 3 }, None));
        let least = ctx.clock.now().plus(Duration::from_secs(secs));
        assert_eq!(finish_attempt(ctx, &fence, &finish).await.unwrap(), JobStatus::Ready);
        let most = ctx.clock.now().plus(Duration::from_secs(secs));
        let waits = world.load_job(&job.id).await.model.unwrap();
        assert!(least <= waits.until && waits.until <= most, "{times}: {waits:?}");
        assert_eq!(waits.times, times);
    }
    assert!(ctx.store.list_breakers().await.unwrap().is_empty(), "no other job shares the account");
}

#[tokio::test]
async fn open_breaker_is_counted_once_for_all_attempts() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 2).await.remove(0);
    let job = world.job(&settings_on(Compute::Runners)).await;
    let ends = [1u32, 2].map(|hours| ctx.clock.now().plus(hours * HOUR));
    for (at, id) in ends.into_iter().zip(["f1", "f2"]) {
        let fence = advance_to(&world, &job.id, Some(&runner), JobStatus::Executing).await;
        let finish = finish_with(id, End::Failed(quota_failure(at), None));
        assert_eq!(finish_attempt(ctx, &fence, &finish).await.unwrap(), JobStatus::Ready);
    }
    let shut = ctx.store.list_breakers().await.unwrap();
    assert_eq!(shut.iter().map(|breaker| breaker.until).collect::<Vec<_>>(), [ends[1]]);
    let counted = ctx.counters().take();
    let count = |counter| counted.iter().find(|(counted, _)| *counted == counter).map_or(0, |(_, count)| *count);
    assert_eq!((count(Counter::BreakerOpened), count(Counter::JobRequeued)), (1, 2));
}

#[tokio::test]
async fn finish_of_a_lost_attempt_opens_no_breaker() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runners = world.runners(2, 1, 1).await;
    let job = world.job(&settings_on(Compute::Runners)).await;
    let lost = advance_to(&world, &job.id, Some(&runners[0]), JobStatus::Executing).await;
    let back = world.load_job(&job.id).await.requeue(ctx.clock.now()).unwrap();
    assert_applied(ctx.store.update_job(&back).await);
    advance_to(&world, &job.id, Some(&runners[1]), JobStatus::Executing).await;
    let before = world.load_job(&job.id).await;
    let met = quota_failure(ctx.clock.now().plus(HOUR));
    let result = finish_attempt(ctx, &lost, &finish_with("f1", End::Failed(met, None))).await;
    assert!(matches!(result, Err(Error::LeaseLost { .. })), "{result:?}");
    assert!(ctx.store.list_breakers().await.unwrap().is_empty(), "the lost attempt opens no breaker");
    assert_eq!(world.load_job(&job.id).await, before);
}

#[tokio::test]
async fn pushed_result_survives_an_account_limit() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = world.job(&settings_on(Compute::Runners)).await;
    let fence = advance_to(&world, &job.id, Some(&runner), JobStatus::Syncing).await;
    let result = job_result(&job);
    let met = quota_failure(ctx.clock.now().plus(HOUR));
    let finish = finish_with("f1", End::Failed(met.clone(), Some(result.clone())));
    assert_eq!(finish_attempt(ctx, &fence, &finish).await.unwrap(), JobStatus::Failed);
    let ended = world.load_job(&job.id).await;
    assert_eq!((ended.failure, ended.result), (Some(met), Some(result)));
    assert!(ctx.store.list_breakers().await.unwrap().is_empty());
}

#[tokio::test]
async fn waiting_jobs_are_claimed_one_by_one_after_the_breaker_ends() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 12).await.remove(0);
    let jobs = world.jobs("waits", 10, 1).await;
    let breaker = world.limit(Account::Runner(runner.id.clone())).await;
    // Each heartbeat names the jobs that the runner holds.
    let beats = async || {
        let held = ctx.store.load_runner(&runner.id).await.unwrap().unwrap().slots;
        world.beats(&runner, held.into_keys().collect()).await;
    };
    let mut times: Vec<_> = jobs.iter().map(|job| (breaker.start_time(&job.id), job.id.clone())).collect();
    times.sort();
    for (number, (time, job)) in times.into_iter().enumerate() {
        let wait = time.since(ctx.clock.now());
        if let Some(before) = wait.checked_sub(Duration::from_millis(500)) {
            ctx.clock.advance(before);
            beats().await;
            assert_eq!(world.takes(&runner, &format!("early-{number}")).await.unwrap(), None, "{number}");
        }
        ctx.clock.advance(time.since(ctx.clock.now()));
        beats().await;
        assert_eq!(world.takes(&runner, &format!("due-{number}")).await.unwrap(), Some(job), "{number}");
    }
}

#[tokio::test]
async fn job_with_project_key_waits_for_the_project_breaker() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let needs = ClassRequirements { capability: "command".into(), labels: BTreeSet::new(), key: KeyOwner::Project };
    let class = ClassId::for_key(world.project.as_str(), &needs.capability, &needs.labels, needs.key);
    ctx.store.create_class(&world.project, &class, &needs).await.unwrap();
    let job = world.job(&settings_on(Compute::Runners)).await;
    let policy = JobPolicy { model_of: Some("command".into()), ..job.policy.clone() };
    let job = Job { class, policy, ..job };
    assert_applied(ctx.store.update_job(&job).await);
    world.limit(Account::Project(world.project.clone())).await;
    assert_eq!(world.takes(&runner, "k1").await.unwrap(), None);
    ctx.clock.advance(Duration::from_secs(300) + START_SPREAD);
    world.beats(&runner, BTreeSet::new()).await;
    assert_eq!(world.takes(&runner, "k2").await.unwrap(), Some(job.id), "the breaker has ended");
}
