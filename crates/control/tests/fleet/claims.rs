//! How many jobs a second a thousand runners take, beside what the table's transactions alone could bear.

use crate::world::World;
use futures::future::join_all;
use pullyard_control::runner::{Answer, Registration, RunnerToken, claim, register};
use pullyard_control::{Context, Error};
use pullyard_domain::id::{ClaimId, InstanceId, JobId};
use pullyard_domain::job::{Claim, Job};
use pullyard_domain::runner::{Refusal, Runner};
use pullyard_store::Write;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const RUNNERS: usize = 1_000;
const JOBS: usize = 10_000;
const CLASSES: usize = 50;
/// For the transactions alone, before the claims and after them: a runner with many jobs is more to write than one
/// with few. What they take stays taken.
const BARE: usize = 1_000;
/// What each runner has room for: as much as one may have.
const SLOTS: u32 = ((JOBS + 2 * BARE) / RUNNERS) as u32;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, for docs/capacity.md"]
async fn a_thousand_runners_take_ten_thousand_jobs_once_each() {
    let world = &World::begin().await;
    let runners = world.runners(RUNNERS, CLASSES, SLOTS).await;
    let before = alone(world, &runners, "before").await;
    let jobs = world.jobs("claimed", JOBS, CLASSES).await;
    world.meter.restart();
    let since = Instant::now();
    let left: Arc<Vec<_>> = Arc::new((0..CLASSES).map(|_| AtomicUsize::new(JOBS / CLASSES)).collect());
    let each = runners.iter().enumerate().map(|(number, runner)| {
        let (ctx, token, runner, left) = (world.ctx.clone(), world.token.clone(), runner.clone(), left.clone());
        tokio::spawn(async move { claims(&ctx, &token, &runner, &left[number % CLASSES]).await })
    });
    let taken = join_all(each).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    let took = since.elapsed();
    let units = world.meter.units();
    let nothing = taken.iter().map(|(_, nothing)| nothing).sum::<usize>();
    let all: Vec<_> = taken.into_iter().flat_map(|(jobs, _)| jobs).collect();
    let once: BTreeSet<_> = all.iter().collect();
    let after = alone(world, &runners, "after").await;
    let alone = 2.0 * BARE as f64 / (before + after).as_secs_f64();
    let per_second = all.len() as f64 / took.as_secs_f64();
    println!("| figure | value |\n|---|---|");
    println!("| transactions alone | {alone:.0} a second |");
    println!("| claims | {per_second:.0} a second, {:.0} % of that |", 100.0 * per_second / alone);
    println!("| {} jobs claimed in | {:.1} s |", all.len(), took.as_secs_f64());
    let each = |sum: f64| sum / all.len() as f64;
    println!(
        "| each | {:.1} calls, {:.1} read units, {:.1} write units |",
        each(units.calls as f64),
        each(units.read),
        each(units.written)
    );
    println!("| answers without a job | {nothing} |");
    println!("| claimed twice | {} |", all.len() - once.len());
    assert_eq!(all.len(), once.len(), "a job was claimed twice");
    assert_eq!(all.len(), jobs.len());
    for job in &jobs {
        let stored = world.ctx.store.job(&job.id).await.unwrap().unwrap();
        assert_eq!(stored.run.is_some(), once.contains(&job.id), "{stored:?}");
    }
}

/// How long the writes of claims take alone.
async fn alone(world: &World, runners: &[Runner], what: &str) -> Duration {
    let bare = world.jobs(what, BARE, CLASSES).await;
    let since = Instant::now();
    let each = runners.iter().enumerate().map(|(number, runner)| {
        let jobs = bare.iter().skip(number).step_by(RUNNERS).cloned().collect();
        tokio::spawn(transactions(world.ctx.clone(), runner.clone(), jobs))
    });
    assert!(join_all(each).await.into_iter().all(|end| end.is_ok()));
    since.elapsed()
}

/// The write of a claim alone, of jobs that nobody else takes.
async fn transactions(ctx: Context, runner: Runner, jobs: Vec<Job>) {
    for job in &jobs {
        let asked = Claim {
            attempt: 1,
            claim: ClaimId::new(format!("alone-{}", job.id)).unwrap(),
            instance: runner.instance.clone(),
            runner: Some(runner.id.clone()),
            task: None,
        };
        let claimed = job.claimed(&asked, ctx.clock.now()).unwrap();
        assert_eq!(ctx.store.claim(&claimed).await.unwrap(), Write::Applied);
    }
}

/// What a runner gets of a class that has so many left, and how often it was told that there is nothing: until it is
/// full, or others have the rest.
async fn claims(ctx: &Context, token: &RunnerToken, runner: &Runner, left: &AtomicUsize) -> (Vec<JobId>, usize) {
    let (mut taken, mut nothing) = (Vec::new(), 0);
    while taken.len() < JOBS / RUNNERS && left.load(Relaxed) > 0 {
        let id = ClaimId::new(format!("claim-{}-{nothing}-{}", taken.len(), runner.id)).unwrap();
        match claim(ctx, token, &runner.id, &runner.instance, &id).await.unwrap() {
            Answer::Job(claimed) => {
                taken.push(claimed.job.id);
                left.fetch_sub(1, Relaxed);
            }
            Answer::Nothing => nothing += 1,
            Answer::Spent => panic!("{id} was never used before"),
        }
    }
    (taken, nothing)
}

#[tokio::test]
async fn a_process_that_another_one_replaced_is_not_handed_its_job_again() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 2).await.remove(0);
    let job = world.jobs("one", 1, 1).await.remove(0);
    assert_eq!(one(&world, &runner).await.unwrap(), Some(job.id.clone()));
    assert_eq!(one(&world, &runner).await.unwrap(), Some(job.id.clone()), "the answer was lost");
    ctx.clock.advance(Duration::from_secs(91));
    let new = Registration {
        name: runner.name.clone(),
        instance: InstanceId::new("another-process").unwrap(),
        capabilities: BTreeSet::from(["command".to_owned()]),
        labels: BTreeSet::new(),
        version: "0.1.0".into(),
        slots: 2,
        active: BTreeSet::from([job.id.clone()]),
    };
    let other = register(ctx, &world.token, &new).await.unwrap();
    let refused = one(&world, &runner).await;
    assert!(matches!(refused, Err(Error::Runner(Refusal::Replaced { .. }))), "{refused:?}");
    assert_eq!(one(&world, &other).await.unwrap(), Some(job.id), "it goes on as the same runner");
}

/// What a claim of a runner brings.
async fn one(world: &World, runner: &Runner) -> Result<Option<JobId>, Error> {
    let id = ClaimId::new(format!("claim-{}", runner.id)).unwrap();
    match claim(&world.ctx, &world.token, &runner.id, &runner.instance, &id).await? {
        Answer::Job(claimed) => Ok(Some(claimed.job.id)),
        Answer::Nothing | Answer::Spent => Ok(None),
    }
}
