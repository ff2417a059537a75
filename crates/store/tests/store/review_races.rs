//! Tests 64 concurrent writers of reviews, of one kind or of two kinds.

use crate::races::{RACERS, race, winner};
use crate::reviews::{
    RevisePlan, absorbed_state, held_entry, pull_request_id, refused_state, remember, review, review_id, wait_request,
    waiting_review,
};
use crate::sample::{self, at};
use crate::world::{EndingJob, World};
use pullyard_domain::job::Job;
use pullyard_domain::outcome::{pull_request_after_revision, ticket_after_job};
use pullyard_domain::review::{ReviewState, covered_reviews};
use pullyard_store::Write;
use std::sync::Arc;

async fn linked_world() -> Arc<World> {
    Arc::new(World::with_linked().await)
}

async fn prepare_give_up(world: &World, job: &Job) -> EndingJob {
    let before = world.job(job).await;
    let ended = before.fail(before.context_failure(1), at(300)).unwrap();
    EndingJob {
        attempt: None,
        ticket: Some(ticket_after_job(&ended, &world.ticket("APP-1").await)),
        pull_request: Some(pull_request_after_revision(&ended, &world.pull_request().await)),
        returned_budget: ended.refund(),
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
                0 => world.store.end_job(&ending.request()).await,
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn review_absorbed_during_a_start_is_covered_by_that_job() {
    for _ in 0..3 {
        let world = linked_world().await;
        world.remember_reviews(&["r1", "r2"]).await;
        let revising = Arc::new(RevisePlan::of(&world, "r2").await);
        let answers = race(&world, |world, number| {
            let revising = Arc::clone(&revising);
            async move {
                match number % 2 {
                    0 => revising.start_waiting(&world.store).await,
                    _ => world.store.absorb_reviews(&pull_request_id(), &review_id("r2"), &[review_id("r1")]).await,
                }
            }
        })
        .await;
        let won = |odd: usize| {
            answers.iter().enumerate().filter(|(at, answer)| at % 2 == odd && **answer == Write::Applied).count()
        };
        let all = world.store.list_reviews(&pull_request_id()).await.unwrap();
        let covers = covered_reviews(&revising.job.id, &all).len();
        assert_eq!((won(0), covers), (1, 1 + won(1)), "{all:?}");
        let state = if won(1) == 1 { absorbed_state("r2") } else { ReviewState::Deferred {} };
        assert_eq!(world.review_state("r1").await, state);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn absorbing_and_refusing_the_newest_exclude_each_other() {
    let world = linked_world().await;
    world.remember_reviews(&["r1", "r2"]).await;
    let answers = race(&world, |world, number| async move {
        match number % 2 {
            0 => world.store.refuse_review(&waiting_review("r2"), &refused_state()).await,
            _ => world.store.absorb_reviews(&pull_request_id(), &review_id("r2"), &[review_id("r1")]).await,
        }
    })
    .await;
    let states = (world.review_state("r1").await, world.review_state("r2").await);
    let first = answers.iter().filter(|answer| **answer == Write::Applied).count();
    assert_eq!(first, 1, "one of the two writes makes the other stale");
    let waits = ReviewState::Deferred {};
    assert!(states == (waits.clone(), refused_state()) || states == (absorbed_state("r2"), waits), "{states:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unknown_review_is_taken_or_remembered_once() {
    let (world, job) = World::with_running_job().await;
    let world = Arc::new(world);
    let answers = race(&world, |world, number| {
        let started = review("n1", ReviewState::Started { job: job.clone() });
        async move {
            match number % 2 {
                0 => world.store.assign_review(&started, None).await,
                _ => remember(&world.store, &waiting_review("n1"), &held_entry("n1")).await,
            }
        }
    })
    .await;
    let expected = [ReviewState::Started { job }, ReviewState::Deferred {}];
    assert_eq!(world.review_state("n1").await, expected[winner(&answers) % 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn edit_mark_is_never_overwritten() {
    let world = linked_world().await;
    world.remember_reviews(&["r1"]).await;
    let revising = Arc::new(RevisePlan::of(&world, "r1").await);
    let answers = race(&world, |world, number| {
        let revising = Arc::clone(&revising);
        async move {
            match number % 2 {
                0 => revising.start_waiting(&world.store).await,
                _ => world.store.update_edited_review(&pull_request_id(), &review_id("r1"), &sample::project()).await,
            }
        }
    })
    .await;
    let edits = answers.iter().skip(1).step_by(2).filter(|answer| **answer == Write::Applied).count();
    assert_eq!(edits, RACERS / 2);
    let stored = world.store.load_review(&pull_request_id(), &review_id("r1")).await.unwrap().unwrap();
    assert!(stored.edited && stored.state == revising.review.state, "{stored:?}");
}
