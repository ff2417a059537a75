//! Measures claims of a thousand runners at once.

use crate::prelude::*;
use crate::world::World;
use futures::future::join_all;
use pullyard_control::Context;
use pullyard_control::runner::{ClaimAnswer, claim_job};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

const RUNNERS: usize = 1_000;
const JOBS: usize = 10_000;
const CLASSES: usize = 50;
const SLOTS: u32 = (JOBS / RUNNERS) as u32;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, for docs/capacity.md"]
async fn thousand_runners_claim_ten_thousand_jobs_once_each() {
    let world = &World::begin().await;
    let runners = world.runners(RUNNERS, CLASSES, SLOTS).await;
    let jobs = world.jobs("claimed", JOBS, CLASSES).await;
    world.meter.restart();
    let since = Instant::now();
    let remaining: Arc<Vec<_>> = Arc::new((0..CLASSES).map(|_| AtomicUsize::new(JOBS / CLASSES)).collect());
    let each = runners.iter().enumerate().map(|(number, runner)| {
        let (ctx, token, runner, remaining) =
            (world.ctx.clone(), world.token.clone(), runner.clone(), remaining.clone());
        tokio::spawn(async move { claim_all(&ctx, &token, &runner, &remaining[number % CLASSES]).await })
    });
    let claims = join_all(each).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    let took = since.elapsed();
    let units = world.meter.units();
    let nothing = claims.iter().map(|(_, nothing)| nothing).sum::<usize>();
    let all: Vec<_> = claims.into_iter().flat_map(|(jobs, _)| jobs).collect();
    let once: BTreeSet<_> = all.iter().collect();
    let per_second = all.len() as f64 / took.as_secs_f64();
    println!("| figure | value |\n|---|---|");
    println!("| claims | {per_second:.0} a second |");
    println!("| {} jobs claimed in | {:.1} s |", all.len(), took.as_secs_f64());
    let each = |sum: f64| sum / all.len() as f64;
    println!(
        "| each | {:.1} calls, {:.1} read units, {:.1} write units |",
        each(units.calls as f64),
        each(units.read_units),
        each(units.write)
    );
    println!("| answers without a job | {nothing} |");
    println!("| claimed twice | {} |", all.len() - once.len());
    assert_eq!(all.len(), once.len(), "a job was claimed twice");
    assert_eq!(all.len(), jobs.len());
    for job in &jobs {
        let stored = world.ctx.store.load_job(&job.id).await.unwrap().unwrap();
        assert_eq!(stored.run.is_some(), once.contains(&job.id), "{stored:?}");
    }
}

async fn claim_all(
    ctx: &Context,
    token: &RunnerToken,
    runner: &Runner,
    remaining: &AtomicUsize,
) -> (Vec<JobId>, usize) {
    let (mut claims, mut nothing) = (Vec::new(), 0);
    while claims.len() < JOBS / RUNNERS && remaining.load(Relaxed) > 0 {
        let id = ClaimId::new(format!("claim-{}-{nothing}-{}", claims.len(), runner.id)).unwrap();
        match claim_job(ctx, token, &runner.id, (&runner.instance, &id), 2).await.unwrap() {
            ClaimAnswer::Job(claimed) => {
                claims.push(claimed.job.id);
                remaining.fetch_sub(1, Relaxed);
            }
            ClaimAnswer::NoJob => nothing += 1,
            ClaimAnswer::ClaimUsed => panic!("{id} is a new claim id"),
        }
    }
    (claims, nothing)
}
