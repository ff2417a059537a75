//! Tests 64 concurrent callers of writes over different reads or with different values. `every_item` tests concurrent
//! callers of one write, and the simulation calls that race each other.

use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_domain::job::limit::{Places, RunningLimits};
use pullyard_store::Error;
use std::sync::Arc;
use tokio::sync::Barrier;

pub(crate) const RACERS: usize = 64;

pub(crate) async fn race<T: Send + 'static, F>(world: &Arc<World>, racer: impl Fn(Arc<World>, usize) -> F) -> Vec<T>
where
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let start = Arc::new(Barrier::new(RACERS));
    let tasks: Vec<_> = (0..RACERS)
        .map(|number| {
            let (start, run) = (Arc::clone(&start), racer(Arc::clone(world), number));
            tokio::spawn(async move {
                start.wait().await;
                run.await.unwrap()
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

pub(crate) fn winner(answers: &[Write]) -> usize {
    let won: Vec<_> = (0..RACERS).filter(|number| answers[*number] == Write::Applied).collect();
    assert_eq!(won.len(), 1, "winners: {won:?}");
    won[0]
}

pub(crate) async fn world() -> Arc<World> {
    Arc::new(World::new().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_claims_never_exceed_the_slots_of_a_runner() {
    let world = world().await;
    let runner = world.register_runner(&sample::runner("kite", 3)).await;
    let mut jobs = Vec::new();
    for number in 0..RACERS {
        jobs.push(world.create_job(&format!("job-{number}")).await);
    }
    let answers = race(&world, |world, number| {
        let job = &jobs[number];
        let claimed = job.claim(&sample::claim_by(&runner, job, &format!("c{number}")), at(1)).unwrap();
        async move { world.store.claim_job(&claimed).await }
    })
    .await;
    let mut claimed = BTreeSet::new();
    for (number, job) in jobs.iter().enumerate() {
        let stored = world.job(job).await;
        let won = answers[number] == Write::Applied;
        assert_eq!((stored.status == JobStatus::Claimed, stored.rev), (won, 1 + u64::from(won)));
        if won {
            claimed.insert(job.id.clone());
        }
    }
    assert_eq!(claimed.len(), 3);
    assert_eq!(world.runner(&runner).await.slots.into_keys().collect::<BTreeSet<_>>(), claimed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_dispatchers_never_exceed_a_limit() {
    let world = world().await;
    let limits = RunningLimits { project: Some(3), ..RunningLimits::default() };
    let waiting = |number: usize| sample::job(&format!("job-{number}")).await_place(&limits);
    let project = waiting(0).project;
    let mut stored = Places::new(project.clone());
    while stored.holders.len() < 3 {
        let answers = race(&world, |world, number| {
            let (mut places, limits, job) = (stored.clone(), limits.clone(), waiting(number));
            async move {
                let placed = places.fill(&limits, vec![job], at(1));
                world.store.put_places(&places, &placed).await
            }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| **answer == Write::Applied).count(), 1);
        stored = world.store.load_places(&project).await.unwrap().unwrap();
    }
    for job in stored.holders.keys() {
        assert!(world.store.load_job(job).await.unwrap().unwrap().takes_place(), "no place without its job");
    }
    assert_eq!(stored.fill(&limits, vec![waiting(RACERS)], at(1)), []);
}

/// Snapshots do not conflict: each is stored or older than the stored one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn newest_of_many_snapshots_is_stored() {
    let world = world().await;
    let answers = race(&world, |world, number| async move {
        // The racers' numbers do not follow the order of their times.
        let when = (number * 37 % RACERS) as u64;
        let event = sample::event("APP-1", &format!("evt-{when}"), at(when), &format!("status {when}"));
        let stored = world.store.update_snapshot(&event, None).await?;
        world.store.store_text(&event).await?;
        Ok(stored)
    })
    .await;
    let newest = (RACERS - 1) as u64;
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.status, ticket.seen_at), (format!("status {newest}"), at(newest)));
    assert_eq!(ticket.seen_event, Some(sample::event_id(&format!("evt-{newest}"))));
    let stored = answers.iter().filter(|answer| **answer == Write::Applied).count();
    // Every stored snapshot raises the revision by one.
    world.check_counter(ticket.rev, stored as u64);
    assert_eq!(world.text("APP-1").await.unwrap().title, format!("APP-1 evt-{newest}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rev_counts_every_retried_update() {
    let world = world().await;
    let job = world.create_ticket_job("APP-1").await;
    race(&world, |world, _| {
        let id = job.id.clone();
        async move {
            loop {
                let mut job = world.store.load_job(&id).await?.expect("the job exists");
                job.tries += 1;
                if world.store.update_job(&job).await? == Write::Applied {
                    return Ok(());
                }
            }
        }
    })
    .await;
    let item = world.item("JOB#", "JOB").await;
    let (rev, tries) = (number_attribute(&item, "rev").unwrap(), number_attribute(&item, "tries").unwrap());
    assert_eq!(rev, 1 + tries);
    // A racer whose answer was lost and whose mark was replaced gets `Stale` and repeats its update.
    world.check_counter(tries.unsigned_abs(), RACERS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_deliveries_are_verified_once_and_refusals_counted() {
    let world = world().await;
    let heard_of = hook("acme");
    let answers = race(&world, |world, number| {
        let hook = heard_of.clone();
        async move {
            match number % 2 {
                0 => world.store.update_hook_verified_at(&hook, at(number as u64 % 30)).await,
                _ => world.store.update_hook_refusal(&hook, 2, at(number as u64)).await,
            }
        }
    })
    .await;
    let verified = answers.iter().step_by(2).filter(|answer| **answer == Write::Applied).count();
    assert!(verified == 1 || (!world.is_calm() && verified == 0), "{verified}");
    let stats = world.store.load_hook_stats(&heard_of).await.unwrap();
    assert!(stats.verified_at.is_some());
    world.check_counter(stats.refused, RACERS as u64);
}
