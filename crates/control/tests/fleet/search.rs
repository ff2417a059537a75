//! Which of the waiting jobs a runner's claim finds.

use crate::world::{World, applied};
use pullyard_control::runner::{Answer, claim as take};
use pullyard_domain::breaker::{Account, Breaker, BreakerId, By, Cause, Trouble};
use pullyard_domain::id::ClaimId;
use pullyard_domain::job::Claim;
use pullyard_testkit::Lag;

#[tokio::test]
async fn a_runner_gets_one_of_the_jobs_behind_those_that_others_have_just_taken() {
    let lag = Lag::still();
    let world = World::before(lag.client()).await;
    let ctx = &world.ctx;
    let runners = world.runners(3, 1, 12).await;
    let jobs = world.jobs("behind", 20, 1).await;
    lag.catch_up().await.unwrap();
    let (taken, left) = jobs.split_at(18);
    for (number, job) in taken.iter().enumerate() {
        let runner = &runners[number % 2];
        let asked = Claim {
            attempt: 1,
            claim: ClaimId::new(format!("taken-{number}")).unwrap(),
            instance: runner.instance.clone(),
            runner: Some(runner.id.clone()),
            task: None,
        };
        applied(ctx.store.claim(&job.claimed(&asked, ctx.clock.now()).unwrap()).await);
    }
    let [_, _, runner] = &runners[..] else { panic!("three runners") };
    for number in 0..left.len() {
        let id = ClaimId::new(format!("behind-{number}")).unwrap();
        let answer = take(ctx, &world.token, &runner.id, &runner.instance, &id).await.unwrap();
        assert!(matches!(answer, Answer::Job(_)), "two waited, and {number} were got");
    }
}

#[tokio::test]
async fn who_waits_for_an_account_with_many_jobs_is_not_looked_behind() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let [runner] = &world.runners(1, 1, 12).await[..] else { panic!("one runner") };
    let account = Account::Runner(runner.id.clone());
    let id = BreakerId { account, capability: "command".into() };
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let calls = async |what: &str, expected| {
        world.meter.restart();
        let id = ClaimId::new(what).unwrap();
        let answer = take(ctx, &world.token, &runner.id, &runner.instance, &id).await.unwrap();
        assert_eq!(matches!(answer, Answer::Job(_)), expected, "{what}");
        world.meter.units().calls
    };
    let jobs = world.jobs("few", 2, 1).await;
    let by = By { job: jobs[0].id.clone(), attempt: 1 };
    applied(ctx.store.put_breaker(&Breaker::opened(None, &id, &limit, &by, ctx.clock.now()).unwrap(), None).await);
    let few = calls("few", false).await;
    world.jobs("many", 20, 1).await;
    assert_eq!(calls("many", false).await, few);
    let stored = ctx.store.breaker(&id).await.unwrap().unwrap();
    applied(ctx.store.close_breaker(&stored).await);
    calls("again", true).await;
}
