//! Tests a cancel that races with other writes of its job.

use crate::races::{RACERS, race, winner, world};
use crate::sample::{self, at};
use crate::world::{Ending, fence, of_ticket};
use pullyard_domain::job::{Cancel, DesiredState, End, Job, JobStatus};
use std::sync::Arc;

fn cancelled(job: &Job, by: usize) -> Job {
    job.cancel(Cancel::new(&format!("user {by}"), None, at(100)), at(100)).unwrap()
}

/// The write of a racer: an end with all its items, a change, or a claim.
enum Racer {
    Ends(Box<Ending>),
    Changes(Box<Job>),
    Claims(Box<Job>),
}

async fn raced(world: &Arc<crate::world::World>, racers: Vec<Racer>) -> usize {
    let racers = Arc::new(racers);
    let answers = race(world, |world, number| {
        let racers = Arc::clone(&racers);
        async move {
            match &racers[number] {
                Racer::Ends(ending) => world.store.end(&ending.ended()).await,
                Racer::Changes(job) => world.store.update_job(job).await,
                Racer::Claims(job) => world.store.claim(job).await,
            }
        }
    })
    .await;
    winner(&answers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ready_job_is_cancelled_claimed_or_dispatched_once() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let mut racers = Vec::new();
    for number in 0..RACERS {
        racers.push(match number % 3 {
            0 => Racer::Ends(Box::new(world.ending_as(&job, cancelled(&job, number), at(100)).await)),
            1 => {
                let claim = sample::claim_by_task(&job, &format!("c{number}"));
                Racer::Claims(Box::new(job.claim(&claim, at(100)).unwrap()))
            }
            _ => Racer::Changes(Box::new(job.begin_dispatch(at(100)).unwrap())),
        });
    }
    let won = raced(&world, racers).await;
    let stored = world.job(&job).await;
    let expected = [JobStatus::Cancelled, JobStatus::Claimed, JobStatus::Ready][won % 3];
    assert_eq!(stored.status, expected);
    let locked = world.ticket("APP-1").await.active_job;
    assert_eq!(locked.is_none(), expected == JobStatus::Cancelled, "only a job that has not ended locks its ticket");
    if expected == JobStatus::Cancelled {
        assert_eq!(stored.cancel.unwrap().by, format!("user {won}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancel_and_finish_of_a_running_job_exclude_each_other() {
    let world = world().await;
    let job = world.running("APP-1", JobStatus::Syncing).await;
    let mut racers = Vec::new();
    for number in 0..RACERS {
        racers.push(if number % 2 == 0 {
            Racer::Changes(Box::new(cancelled(&job, number)))
        } else {
            let finish = sample::finish(&format!("f{number}"));
            let ended = job.finish(&fence(&job), &finish, End::Completed(sample::result(7)), at(100)).unwrap();
            Racer::Ends(Box::new(world.ending_as(&job, ended, at(100)).await))
        });
    }
    let won = raced(&world, racers).await;
    let stored = world.job(&job).await;
    let (status, want) =
        [(JobStatus::Syncing, DesiredState::Cancel), (JobStatus::Completed, DesiredState::Run)][won % 2];
    assert_eq!((stored.status, stored.want, stored.cancel.is_some()), (status, want, want == DesiredState::Cancel));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_job_is_ended_once_by_runner_or_sweeper() {
    let world = world().await;
    let job = world.running("APP-1", JobStatus::Executing).await;
    world.applies(world.store.update_job(&cancelled(&job, 0))).await;
    let job = world.job(&job).await;
    let mut racers = Vec::new();
    for number in 0..RACERS {
        let ended = if number % 2 == 0 {
            job.enforce_cancel(at(300)).unwrap()
        } else {
            job.finish(&fence(&job), &sample::finish(&format!("f{number}")), End::Cancelled, at(300)).unwrap()
        };
        racers.push(Racer::Ends(Box::new(world.ending_as(&job, ended, at(300)).await)));
    }
    let won = raced(&world, racers).await;
    let stored = world.job(&job).await;
    let by_runner = stored.ended_by.unwrap().finish.is_some();
    assert_eq!(
        (stored.status, by_runner, stored.cancel.unwrap().by.as_str()),
        (JobStatus::Cancelled, won % 2 == 1, "user 0")
    );
    assert_eq!(world.ticket("APP-1").await.active_job, None);
    let (next, ticket) = sample::planned(&world.ticket("APP-1").await, "next");
    world.applies(world.store.trigger(&of_ticket(&next, &ticket))).await;
}
