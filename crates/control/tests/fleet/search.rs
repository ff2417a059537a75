//! Which waiting job a claim finds.

use crate::prelude::*;
use crate::world::World;
use futures::future::join_all;
use pullyard_domain::agent::breaker::Account;
use pullyard_domain::job::{Claim, JobKind};
use pullyard_testkit::Lag;

#[tokio::test]
async fn claim_finds_jobs_behind_those_just_claimed() {
    let lag = Lag::frozen();
    let world = World::with_client(lag.client()).await;
    let ctx = &world.ctx;
    let runners = world.runners(3, 1, 12).await;
    let jobs = world.jobs("behind", 20, 1).await;
    lag.catch_up().await.unwrap();
    let (claims, remaining) = jobs.split_at(18);
    for (number, job) in claims.iter().enumerate() {
        let runner = &runners[number % 2];
        let claim = Claim {
            attempt: 1,
            claim: ClaimId::new(format!("taken-{number}")).unwrap(),
            instance: runner.instance.clone(),
            runner: Some(runner.id.clone()),
            task: None,
        };
        assert_applied(ctx.store.claim_job(&job.claim(&claim, ctx.clock.now()).unwrap()).await);
    }
    let [_, _, runner] = &runners[..] else { panic!("three runners") };
    for number in 0..remaining.len() {
        let claims = world.takes(runner, &format!("behind-{number}")).await.unwrap();
        assert!(claims.is_some(), "only {number} of two were claimed");
    }
}

#[tokio::test]
async fn claim_behind_an_open_breaker_costs_no_extra_calls() {
    let world = World::begin().await;
    let [runner] = &world.runners(1, 1, 12).await[..] else { panic!("one runner") };
    let calls = async |id: &str, expected| {
        world.meter.restart();
        assert_eq!(world.takes(runner, id).await.unwrap().is_some(), expected, "{id}");
        world.meter.units().calls
    };
    world.jobs("few", 2, 1).await;
    let shut = world.limit(Account::Runner(runner.id.clone())).await;
    let few = calls("few", false).await;
    world.jobs("many", 20, 1).await;
    assert_eq!(calls("many", false).await, few);
    assert!(pullyard_control::close_breaker(&world.ctx, &shut.id).await.unwrap());
    calls("again", true).await;
}

fn remaining_jobs(jobs: &[Job], claimed_job: Option<&JobId>) -> Vec<JobId> {
    let mut remaining: Vec<_> = jobs.iter().map(|job| job.id.clone()).filter(|id| Some(id) != claimed_job).collect();
    remaining.sort();
    assert_eq!(remaining.len() + 1, jobs.len(), "no job was taken: {claimed_job:?}");
    remaining
}

#[tokio::test]
async fn concurrent_claims_take_each_job_once() {
    const AT_ONCE: usize = 24;
    let world = &World::begin().await;
    let runners = world.runners(AT_ONCE, 1, 3).await;
    let jobs = world.jobs("each", 2 * AT_ONCE, 1).await;
    let mut claims = Vec::new();
    for round in 0.. {
        let id = format!("k{round}");
        let all = join_all(runners.iter().map(|runner| world.takes(runner, &id))).await;
        let claimed: Vec<_> = all.into_iter().filter_map(Result::unwrap).collect();
        // A claim may give up under contention, but returns nothing only once all jobs are taken.
        assert!(!claimed.is_empty() || claims.len() == jobs.len(), "{round}: only {} were claimed", claims.len());
        if claimed.is_empty() {
            break;
        }
        claims.extend(claimed);
    }
    assert_eq!(claims.iter().collect::<BTreeSet<_>>().len(), jobs.len());
    for job in &jobs {
        assert!(world.load_job(&job.id).await.run.is_some(), "{} was not claimed", job.id);
    }
}

#[tokio::test]
async fn job_blocked_for_one_runner_is_left_for_another() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runners = world.runners(2, 1, 3).await;
    let [able, barred] = &runners[..] else { panic!("two runners") };
    world.jobs("each", 3, 1).await;
    let first = world.takes(able, "k1").await.unwrap();
    let shut = world.limit(Account::Runner(barred.id.clone())).await;
    assert_eq!(world.takes(barred, "k1").await.unwrap(), None);
    let second = world.takes(able, "k2").await.unwrap();
    assert!(pullyard_control::close_breaker(ctx, &shut.id).await.unwrap());
    let third = world.takes(barred, "k2").await.unwrap();
    let once: BTreeSet<_> = [first, second, third].into_iter().flatten().collect();
    assert_eq!(once.len(), 3, "every job was claimed");
}

#[tokio::test]
async fn job_of_a_failed_claim_is_claimed_next() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    let runner = world.runners(1, 1, 4).await.remove(0);
    let jobs = world.jobs("each", 2, 1).await;
    let first = world.takes(&runner, "k1").await.unwrap();
    let next = remaining_jobs(&jobs, first.as_ref()).remove(0);
    wire.fail_next("TransactWriteItems", Fault::StopBefore);
    let cut = wire.run_until_stopped(world.takes(&runner, "k2")).await;
    assert!(cut.is_none(), "{cut:?}");
    wire.fail_next("TransactWriteItems", Fault::error(400, "AccessDenied"));
    let failed = world.takes(&runner, "k3").await;
    assert!(failed.is_err(), "{failed:?}");
    assert_eq!(world.takes(&runner, "k4").await.unwrap(), Some(next));
}

#[tokio::test]
async fn runner_of_protocol_1_gets_the_job_behind_questions() {
    let world = World::begin().await;
    let [runner] = &world.runners(1, 1, 3).await[..] else { panic!("one runner") };
    world.jobs("class", 0, 1).await;
    let mut questions = BTreeSet::new();
    // More than a search tries, and more than its second read has.
    for number in 0..80 {
        let question = Job { kind: JobKind::Read, ..world.plan("question", number, 1) };
        questions.insert(world.store_job(&question).await.id);
    }
    let [change] = &world.jobs("change", 1, 1).await[..] else { panic!("one job") };
    assert_eq!(world.takes_with(runner, "k1", 1).await.unwrap().as_ref(), Some(&change.id));
    assert_eq!(world.takes_with(runner, "k2", 1).await.unwrap(), None);
    for id in &questions {
        assert_eq!(world.load_job(id).await.attempt, 0, "{id}");
    }
    let claimed = world.takes_with(runner, "k3", 2).await.unwrap().expect("a question");
    assert!(questions.contains(&claimed), "{claimed}");
}
