//! Tests 64 concurrent writers of reviews during a job and at its end.

use crate::prelude::*;
use crate::races::{RACERS, race};
use crate::world::World;
use pullyard_domain::review::outcome::{pull_request_after_revision, ticket_after_job};
use std::sync::Arc;

async fn prepare_give_up(world: &World, job: &Job) -> EndingJob {
    let before = world.job(job).await;
    let ended = before.fail(before.context_failure(1), at(300)).unwrap();
    EndingJob {
        output: None,
        attempt: None,
        ticket: Some(ticket_after_job(&ended, &world.ticket("APP-1").await)),
        pull_request: Some(pull_request_after_revision(&ended, &world.pull_request().await)),
        returned_budget: ended.refund(),
        spending: None,
        notice: None,
        before,
        job: ended,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_reviews_during_a_job_are_all_remembered() {
    let (world, job) = World::with_running_job().await;
    let world = Arc::new(world);
    let before = world.ticket("APP-1").await;
    let answers = race(&world, |world, number| {
        let job = job.clone();
        async move {
            let name = format!("n{number}");
            world.store.wait_for_job(&wait_request(&waiting_review(&name), &held_entry(&name), &job)).await
        }
    })
    .await;
    assert!(answers.iter().all(|answer| *answer == Write::Applied));
    let reviews = world.store.list_reviews(&pull_request_id()).await.unwrap();
    let waiting = reviews.iter().filter(|review| review.state == ReviewState::Deferred {}).count();
    assert_eq!((reviews.len(), waiting), (RACERS + 1, RACERS));
    let after = world.ticket("APP-1").await;
    assert_eq!(after.deferred.len(), 1);
    world.check_counter(after.rev - before.rev, RACERS as u64);
    world.check_consistency().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn job_end_and_racing_reviews_never_miss_each_other() {
    let (world, job) = World::with_running_job().await;
    let job = world.store.load_job(&job).await.unwrap().unwrap();
    let ending = Arc::new(prepare_give_up(&world, &job).await);
    let world = Arc::new(world);
    let answers = race(&world, |world, number| {
        let (ending, job) = (Arc::clone(&ending), job.id.clone());
        async move {
            let name = format!("n{number}");
            match number {
                0 => world.store.write_job(&ending.request()).await,
                _ => world.store.wait_for_job(&wait_request(&waiting_review(&name), &held_entry(&name), &job)).await,
            }
        }
    })
    .await;
    let (ended, marks) = (answers[0], answers[1..].iter().filter(|answer| **answer == Write::Applied).count());
    let after = world.ticket("APP-1").await;
    match ended {
        // No racer marked a ticket without an active job, and the end had read no mark.
        Write::Applied => assert_eq!((marks, after.active_job, after.deferred.len()), (0, None, 0)),
        Write::Stale => assert_eq!((marks, after.active_job, after.deferred.len()), (RACERS - 1, Some(job.id), 1)),
    }
}
