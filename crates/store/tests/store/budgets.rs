//! Tests that a daily budget is never exceeded and that a job's reservation returns once.

use crate::prelude::*;
use crate::races::{RACERS, race, winner, world};
use crate::reviews::RevisePlan;
use crate::sample;
use crate::world::{World, failed_end};
use pullyard_domain::project::budget::{Charge, DailyUsage, Day};

const DOLLAR: u64 = 1_000_000;

fn job_limit(most: u32) -> Budget {
    Budget { jobs_per_day: Some(most), ..Budget::default() }
}

fn cost_limit(most: u64) -> Budget {
    Budget { usd_micros_per_day: Some(most * DOLLAR), usd_micros_per_job: 4 * DOLLAR, ..Budget::default() }
}

fn job(name: &str, budget: Budget) -> (Job, Charge) {
    let job = Job { reserved: budget.reserve(at(0)), ..sample::job(name) };
    let charge = budget.charge(&job).unwrap();
    (job, charge)
}

fn charged<'a>(job: &'a Job, charge: &'a Charge) -> JobCreation<'a> {
    JobCreation { pull_request: None, charge: Some(charge), ..job_trigger(job) }
}

async fn try_create_job(world: &World, name: &str, budget: Budget) -> Write {
    let (job, charge) = job(name, budget);
    world.store.create_job(&charged(&job, &charge)).await.unwrap()
}

async fn create_job(world: &World, name: &str, budget: Budget) -> Job {
    assert_eq!(try_create_job(world, name, budget).await, Write::Applied);
    world.job(&sample::job(name)).await
}

async fn today(world: &World) -> Option<DailyUsage> {
    world.store.load_budget(&sample::project(), Day::containing(at(0))).await.unwrap()
}

async fn check(world: &World, jobs: u32, reserved: u64, spent: u64) {
    let today = today(world).await.unwrap();
    let dollars = (today.reserved_usd_micros(), today.spent_usd_micros);
    assert_eq!((today.jobs, dollars), (jobs, (reserved * DOLLAR, spent * DOLLAR)));
}

#[tokio::test]
async fn job_over_the_daily_job_limit_is_refused() {
    let world = World::new().await;
    assert_eq!(today(&world).await, None);
    for name in ["one", "two"] {
        create_job(&world, name, job_limit(2)).await;
    }
    let (third, charge) = job("three", job_limit(2));
    world.expect_refused(world.store.create_job(&charged(&third, &charge))).await;
    check(&world, 2, 10, 0).await;
    // Another limit applies to the same sums.
    create_job(&world, "four", job_limit(3)).await;
    check(&world, 3, 15, 0).await;
}

#[tokio::test]
async fn job_over_the_daily_cost_limit_is_refused() {
    let world = World::new().await;
    for name in ["one", "two"] {
        create_job(&world, name, cost_limit(11)).await;
    }
    let (third, charge) = job("three", cost_limit(11));
    world.expect_refused(world.store.create_job(&charged(&third, &charge))).await;
    create_job(&world, "four", cost_limit(12)).await;
    check(&world, 3, 12, 0).await;
}

#[tokio::test]
async fn each_daily_limit_refuses_by_itself() {
    for (most, usd) in [(1, 100), (9, 7)] {
        let world = World::new().await;
        let both = Budget { jobs_per_day: Some(most), ..cost_limit(usd) };
        create_job(&world, "one", both).await;
        let (second, charge) = job("two", both);
        world.expect_refused(world.store.create_job(&charged(&second, &charge))).await;
        check(&world, 1, 4, 0).await;
    }
}

#[tokio::test]
async fn review_job_counts_toward_the_daily_budget() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1"]).await;
    let mut revising = RevisePlan::of(&world, "r1").await;
    revising.job.reserved = job_limit(1).reserve(at(0));
    let within = async |budget: Budget| {
        let charge = budget.charge(&revising.job);
        world.store.create_review_job(&ReviewTrigger { charge: charge.as_ref(), ..revising.trigger() }).await
    };
    create_job(&world, "one", job_limit(1)).await;
    world.expect_refused(within(job_limit(1))).await;
    world.expect_applied(within(job_limit(2))).await;
    check(&world, 2, 10, 0).await;
}

#[tokio::test]
async fn each_day_has_its_own_budget_item() {
    let world = World::new().await;
    create_job(&world, "one", job_limit(1)).await;
    let tomorrow = Day::containing(at(0)).end();
    let (later, mut charge) = job("two", job_limit(1));
    let later = Job { reserved: job_limit(1).reserve(tomorrow), ..later };
    charge.day = Day::containing(tomorrow);
    world.expect_applied(world.store.create_job(&charged(&later, &charge))).await;
    check(&world, 1, 5, 0).await;
    let item = world.item("BUDGET#acme", &Day::containing(at(0)).to_string()).await;
    let expires = Day::containing(at(0)).end().plus(Duration::from_secs(40 * 24 * 3_600)).millis() / 1_000;
    assert_eq!(item["expires"].as_n().unwrap(), &expires.to_string());
}

/// The racers also create the day's item.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_racers_gets_the_last_dollars_of_a_day() {
    let world = world().await;
    let answers = race(&world, |world, number| async move {
        let (job, charge) = job(&format!("job-{number}"), cost_limit(7));
        world.store.create_job(&charged(&job, &charge)).await
    })
    .await;
    winner(&answers);
    check(&world, 1, 4, 0).await;
}

/// With room for all racers, the day's item must not be a bottleneck.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_jobs_within_the_budget_are_all_created() {
    let world = world().await;
    let many = u32::try_from(RACERS).unwrap();
    // The embedded DynamoDB never reports a transaction conflict. AWS may, and the store retries.
    let answers = race(&world, |world, number| async move {
        let (job, charge) = job(&format!("job-{number}"), job_limit(many));
        world.store.create_job(&charged(&job, &charge)).await
    })
    .await;
    assert!(answers.iter().all(|answer| *answer == Write::Applied));
    assert_eq!(today(&world).await.unwrap().jobs, many);
    assert_eq!(try_create_job(&world, "one-more", job_limit(many)).await, Write::Stale);
}

async fn end_worked_job(world: &World, name: &str, cost: u64) -> EndingJob {
    let job = create_job(world, name, cost_limit(100)).await;
    let job = world.claim_job(&job, &sample::claim_by_task(&job, "c1")).await;
    let job = world.advance_job(&job, JobStatus::Executing).await;
    let ended = world.prepare_end(&job, failed_end(), at(200)).await.job;
    world.prepare_end_of(&job, ended.with_cost(cost * DOLLAR), at(200)).await
}

#[tokio::test]
async fn job_end_returns_the_unspent_reservation() {
    let world = World::new().await;
    let ending = end_worked_job(&world, "one", 3).await;
    check(&world, 1, 4, 0).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    check(&world, 1, 0, 3).await;
    // The repeated end finds a newer revision of the job.
    world.expect_refused(world.store.write_job(&ending.request())).await;
    let dear = end_worked_job(&world, "two", 9).await;
    world.expect_applied(world.store.write_job(&dear.request())).await;
    check(&world, 2, 0, 12).await;
}

#[tokio::test]
async fn unworked_job_leaves_no_trace_in_the_budget() {
    let world = World::new().await;
    let job = create_job(&world, "one", cost_limit(100)).await;
    let ending = world.prepare_end(&job, failed_end(), at(200)).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    check(&world, 0, 0, 0).await;
}

/// A job may outlive its day's item and must still end.
#[tokio::test]
async fn job_end_does_not_recreate_an_expired_budget() {
    let world = World::new().await;
    let mut ending = end_worked_job(&world, "one", 3).await;
    world.delete_item("BUDGET#", "").await;
    world.expect_refused(world.store.write_job(&ending.request())).await;
    ending.returned_budget = None;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    assert_eq!(today(&world).await, None);
}

#[tokio::test]
async fn held_entries_are_listed_oldest_first() {
    let world = World::new().await;
    for (key, secs) in [("B", 20), ("A", 10), ("C", 30)] {
        let entry = sample::event(key, "e", at(secs), "AI Processing").entry();
        world.expect_applied(world.store.update_ticket(&sample::ticket(key).hold_entry(entry))).await;
    }
    assert_eq!(world.due_items(0, at(9_999), 100).await, []);
    let key = |key: &str| pullyard_store::WorkKey::Ticket(sample::project(), sample::ticket_key(key));
    let held = async |most: i32| {
        world.after_catching_up(async || world.store.list_held(&sample::project(), most).await.unwrap()).await
    };
    assert_eq!(held(2).await, ["A", "B"].map(key));
    // A snapshot leaves the queued entry unchanged.
    world.store.update_snapshot(&sample::event("A", "e2", at(40), "Todo"), None).await.unwrap();
    assert_eq!(held(1).await, ["A"].map(key));
    let ticket = world.ticket("A").await.drop_entry(&pullyard_domain::project::Settings::default());
    world.expect_applied(world.store.update_ticket(&ticket)).await;
    assert_eq!(held(9).await, ["B", "C"].map(key));
}
