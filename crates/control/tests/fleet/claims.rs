//! How many jobs a second a thousand runners take, beside what the table's transactions alone could bear.

use crate::world::World;
use futures::future::join_all;
use pullyard_control::runner::{Answer, claim};
use pullyard_domain::id::ClaimId;
use pullyard_domain::job::Claim;
use pullyard_store::Write;
use std::collections::BTreeSet;
use std::time::Instant;

const RUNNERS: usize = 1_000;
const JOBS: usize = 10_000;
const CLASSES: usize = 50;
/// For the transactions alone; each runner has as many of them.
const BARE: usize = 2_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, for docs/benchmarks.md"]
async fn a_thousand_runners_take_ten_thousand_jobs_once_each() {
    let world = &World::begin().await;
    let runners = world.runners(RUNNERS, CLASSES, 12).await;
    let bare = world.jobs("bare", BARE, CLASSES).await;
    let since = Instant::now();
    let answers = join_all(runners.iter().enumerate().map(async |(number, runner)| {
        for (round, job) in bare.iter().skip(number).step_by(RUNNERS).enumerate() {
            let asked = Claim {
                attempt: 1,
                claim: ClaimId::new(format!("bare-{number}-{round}")).unwrap(),
                instance: runner.instance.clone(),
                runner: Some(runner.id.clone()),
                task: None,
            };
            let claimed = job.claimed(&asked, world.ctx.clock.now()).unwrap();
            assert_eq!(world.ctx.store.claim(&claimed).await.unwrap(), Write::Applied);
        }
    }))
    .await;
    let alone = BARE as f64 / since.elapsed().as_secs_f64();
    assert_eq!(answers.len(), RUNNERS);

    let jobs = world.jobs("claimed", JOBS, CLASSES).await;
    world.meter.restart();
    let since = Instant::now();
    let taken = join_all(runners.iter().enumerate().map(async |(number, runner)| {
        let mut taken = Vec::new();
        loop {
            let id = ClaimId::new(format!("claim-{number}-{}", taken.len())).unwrap();
            match claim(&world.ctx, &world.token, &runner.id, &runner.instance, &id).await.unwrap() {
                Answer::Job(claimed) => taken.push(claimed.job.id),
                Answer::Nothing => return taken,
                Answer::Spent => panic!("{id} was never used before"),
            }
        }
    }))
    .await;
    let took = since.elapsed();
    let units = world.meter.units();
    let all: Vec<_> = taken.into_iter().flatten().collect();
    let once: BTreeSet<_> = all.iter().collect();
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
    println!("| claimed twice | {} |", all.len() - once.len());
    assert_eq!(all.len(), once.len(), "a job was claimed twice");
    // Each has room for twelve of its kind's ten a runner.
    assert_eq!(all.len(), jobs.len());
    for job in &jobs {
        let stored = world.ctx.store.job(&job.id).await.unwrap().unwrap();
        assert_eq!(stored.run.is_some(), once.contains(&job.id), "{stored:?}");
    }
}
