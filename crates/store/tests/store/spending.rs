//! Tests that jobs at once never exceed the limits of their ticket, and that a job's reservation returns once.

use crate::prelude::*;
use crate::races::{race, winner, world};
use crate::sample;
use crate::world::{World, failed_end};
use pullyard_domain::job::JobKind;
use pullyard_domain::project::spending::{Raise, RaiseResult, RaiseRight, Spending, SpentOn};

const DOLLAR: u64 = 1_000_000;

fn of() -> SpentOn {
    SpentOn::Ticket(sample::ticket_key("APP-1"))
}

async fn load(world: &World) -> Spending {
    let stored = world.store.load_spending(&sample::project(), &of()).await.unwrap();
    stored.unwrap_or_else(|| Spending::new(sample::project(), of()))
}

/// Plans a job of the ticket over the spending as it is stored now. Its kind decides what it reserves.
async fn plan(world: &World, name: &str, kind: JobKind) -> (Job, Spending) {
    let (job, _) = sample::plan_ticket_job(&sample::ticket("APP-1"), name);
    sample::charge_next(&Job { kind, ..job }, load(world).await).unwrap()
}

async fn create(world: &World, (job, spending): &(Job, Spending)) -> Write {
    let creation = JobCreation { spending: Some(spending), ..job_trigger(job) };
    world.store.create_job(&creation).await.unwrap()
}

async fn check(world: &World, jobs: u32, reserved: u64, spent: u64) {
    let stored = load(world).await;
    let reserved_now = stored.taken_usd_micros - stored.spent_usd_micros;
    let dollars = (reserved_now / DOLLAR, stored.spent_usd_micros / DOLLAR);
    assert_eq!((stored.jobs, dollars), (jobs, (reserved, spent)));
    assert!(stored.taken_usd_micros <= 50 * DOLLAR);
    world.check_consistency().await;
}

/// All read the same spending, so their reservations would add up to many times the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_racers_gets_the_money_of_a_ticket() {
    let world = world().await;
    let answers = race(&world, |world, number| async move {
        let planned = {
            let (job, _) = sample::plan_ticket_job(&sample::ticket("APP-1"), &format!("job-{number}"));
            sample::charge_spending(&job)
        };
        Ok(create(&world, &planned).await)
    })
    .await;
    winner(&answers);
    check(&world, 1, 45, 0).await;
}

#[tokio::test]
async fn review_runs_beside_a_change_within_the_limit() {
    let world = World::new().await;
    let change = plan(&world, "one", JobKind::Implement).await;
    let stale = plan(&world, "two", JobKind::Review).await;
    assert_eq!(create(&world, &change).await, Write::Applied);
    assert_eq!(create(&world, &stale).await, Write::Stale);
    check(&world, 1, 45, 0).await;
    let review = plan(&world, "two", JobKind::Review).await;
    assert_eq!(create(&world, &review).await, Write::Applied);
    check(&world, 2, 50, 0).await;
    let (job, _) = sample::plan_ticket_job(&sample::ticket("APP-1"), "three");
    assert_eq!(sample::charge_next(&job, load(&world).await), None);
}

async fn running_job(world: &World) -> Job {
    let planned = plan(world, "one", JobKind::Implement).await;
    assert_eq!(create(world, &planned).await, Write::Applied);
    let job = world.job(&planned.0).await;
    let job = world.claim_job(&job, &sample::claim_by_task(&job, "c1")).await;
    world.advance_job(&job, JobStatus::Executing).await
}

#[tokio::test]
async fn end_returns_the_reservation_once() {
    let world = World::new().await;
    let job = running_job(&world).await;
    let ended = world.prepare_end(&job, failed_end(), at(200)).await.job;
    let ending = world.prepare_end_of(&job, ended.with_cost(12 * DOLLAR), at(200)).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    check(&world, 1, 0, 12).await;
    world.expect_refused(world.store.write_job(&ending.request())).await;
    check(&world, 1, 0, 12).await;
    assert_eq!(load(&world).await.attempts, 1);
}

/// The end writes over what it read, so it repeats after another job's creation.
#[tokio::test]
async fn end_is_refused_when_another_job_has_started() {
    let world = World::new().await;
    let job = running_job(&world).await;
    let ending = world.prepare_end(&job, failed_end(), at(200)).await;
    let review = plan(&world, "two", JobKind::Review).await;
    assert_eq!(create(&world, &review).await, Write::Applied);
    world.expect_refused(world.store.write_job(&ending.request())).await;
    let ending = world.prepare_end(&job, failed_end(), at(200)).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    check(&world, 2, 5, 0).await;
}

#[tokio::test]
async fn unworked_job_leaves_no_trace_in_the_spending() {
    let world = World::new().await;
    let planned = plan(&world, "one", JobKind::Implement).await;
    assert_eq!(create(&world, &planned).await, Write::Applied);
    let ending = world.prepare_end(&world.job(&planned.0).await, failed_end(), at(200)).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    check(&world, 0, 0, 0).await;
}

#[tokio::test]
async fn spending_outlives_its_ticket() {
    let world = World::new().await;
    world.store.update_snapshot(&sample::event("APP-1", "evt-1", at(1), "Todo"), None).await.unwrap();
    let planned = plan(&world, "one", JobKind::Implement).await;
    assert_eq!(create(&world, &planned).await, Write::Applied);
    world.expect_applied(world.store.delete_ticket(&world.ticket("APP-1").await)).await;
    check(&world, 1, 45, 0).await;
}

fn raise(id: &str) -> Raise {
    let until = at(0).plus(Duration::from_secs(7 * 24 * 3_600));
    Raise { id: id.into(), by: "ann".into(), at: at(0), usd_micros: 20 * DOLLAR, jobs: 0, until }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn raise_is_stored_once_beside_racing_repeats() {
    let world = world().await;
    let answers = race(&world, |world, _| async move {
        let spending = Spending::new(sample::project(), of());
        let raised = spending.raise(raise("same"), &sample::SPENDING_LIMITS, RaiseRight::Jobs).unwrap();
        let RaiseResult::Raised(next) = raised else { panic!("a new raise") };
        world.store.put_spending(&next).await
    })
    .await;
    winner(&answers);
    let stored = load(&world).await;
    assert_eq!(stored.raises, [raise("same")]);
    let again = stored.raise(raise("same"), &sample::SPENDING_LIMITS, RaiseRight::Jobs);
    assert_eq!(again, Ok(RaiseResult::Repeat));
}
