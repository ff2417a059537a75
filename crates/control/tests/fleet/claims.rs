//! Claims of a thousand runners per second, compared with the table's transactions alone.

use crate::prelude::*;
use crate::world::World;
use futures::future::join_all;
use pullyard_control::Context;
use pullyard_control::runner::{ClaimAnswer, claim_job};
use pullyard_domain::job::Claim;
use pullyard_store::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

const RUNNERS: usize = 1_000;
const JOBS: usize = 10_000;
const CLASSES: usize = 50;
/// Jobs per baseline run, before and after the claims, because a runner with many jobs has a larger item.
const BASELINE_JOBS: usize = 1_000;
const SLOTS: u32 = ((JOBS + 2 * BASELINE_JOBS) / RUNNERS) as u32;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, for docs/capacity.md"]
async fn thousand_runners_claim_ten_thousand_jobs_once_each() {
    let world = &World::begin().await;
    let runners = world.runners(RUNNERS, CLASSES, SLOTS).await;
    let before = measure_transactions(world, &runners, "before").await;
    let jobs = world.jobs("claimed", JOBS, CLASSES).await;
    world.meter.restart();
    let since = Instant::now();
    let left: Arc<Vec<_>> = Arc::new((0..CLASSES).map(|_| AtomicUsize::new(JOBS / CLASSES)).collect());
    let each = runners.iter().enumerate().map(|(number, runner)| {
        let (ctx, token, runner, left) = (world.ctx.clone(), world.token.clone(), runner.clone(), left.clone());
        tokio::spawn(async move { claim_all(&ctx, &token, &runner, &left[number % CLASSES]).await })
    });
    let taken = join_all(each).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    let took = since.elapsed();
    let units = world.meter.units();
    let nothing = taken.iter().map(|(_, nothing)| nothing).sum::<usize>();
    let all: Vec<_> = taken.into_iter().flat_map(|(jobs, _)| jobs).collect();
    let once: BTreeSet<_> = all.iter().collect();
    let after = measure_transactions(world, &runners, "after").await;
    let alone = 2.0 * BASELINE_JOBS as f64 / (before + after).as_secs_f64();
    let per_second = all.len() as f64 / took.as_secs_f64();
    println!("| figure | value |\n|---|---|");
    println!("| transactions alone | {alone:.0} a second |");
    println!("| claims | {per_second:.0} a second, {:.0} % of that |", 100.0 * per_second / alone);
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

async fn measure_transactions(world: &World, runners: &[Runner], what: &str) -> Duration {
    let bare = world.jobs(what, BASELINE_JOBS, CLASSES).await;
    let since = Instant::now();
    let each = runners.iter().enumerate().map(|(number, runner)| {
        let jobs = bare.iter().skip(number).step_by(RUNNERS).cloned().collect();
        tokio::spawn(write_claims(world.ctx.clone(), runner.clone(), jobs))
    });
    assert!(join_all(each).await.into_iter().all(|end| end.is_ok()));
    since.elapsed()
}

async fn write_claims(ctx: Context, runner: Runner, jobs: Vec<Job>) {
    for job in &jobs {
        let asked = Claim {
            attempt: 1,
            claim: ClaimId::new(format!("alone-{}", job.id)).unwrap(),
            instance: runner.instance.clone(),
            runner: Some(runner.id.clone()),
            task: None,
        };
        let claimed = job.claim(&asked, ctx.clock.now()).unwrap();
        assert_eq!(ctx.store.claim_job(&claimed).await.unwrap(), Write::Applied);
    }
}

async fn claim_all(ctx: &Context, token: &RunnerToken, runner: &Runner, left: &AtomicUsize) -> (Vec<JobId>, usize) {
    let (mut taken, mut nothing) = (Vec::new(), 0);
    while taken.len() < JOBS / RUNNERS && left.load(Relaxed) > 0 {
        let id = ClaimId::new(format!("claim-{}-{nothing}-{}", taken.len(), runner.id)).unwrap();
        match claim_job(ctx, token, &runner.id, &runner.instance, &id).await.unwrap() {
            ClaimAnswer::Job(claimed) => {
                taken.push(claimed.job.id);
                left.fetch_sub(1, Relaxed);
            }
            ClaimAnswer::NoJob => nothing += 1,
            ClaimAnswer::ClaimUsed => panic!("{id} is a new claim id"),
        }
    }
    (taken, nothing)
}
