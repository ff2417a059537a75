//! Tests the edit mark of a review, which no other write removes.

use super::{
    RevisePlan, closed_reason, held_entry, pull_request_id, refused_state, remember, review, review_id, waiting_review,
};
use crate::prelude::*;
use crate::sample;
use crate::world::World;

#[tokio::test]
async fn unknown_review_is_not_marked_as_edited() {
    let world = World::with_linked().await;
    world
        .expect_refused(world.store.update_edited_review(&pull_request_id(), &review_id("gone"), &sample::project()))
        .await;
}

#[tokio::test]
async fn review_is_marked_as_edited_only_for_its_project() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1"]).await;
    let edited = async || world.store.load_review(&pull_request_id(), &review_id("r1")).await.unwrap().unwrap().edited;
    let other = pullyard_domain::id::ProjectId::new("neighbour").unwrap();
    world.expect_refused(world.store.update_edited_review(&pull_request_id(), &review_id("r1"), &other)).await;
    assert!(!edited().await);
    world
        .expect_applied(world.store.update_edited_review(&pull_request_id(), &review_id("r1"), &sample::project()))
        .await;
    assert!(edited().await);
}

async fn check_mark_survives(case: &str, write: impl AsyncFn(&World, &Review) -> Write) {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1"]).await;
    if case != "settled" {
        world.expect_applied(world.conclude("r1", Conclusion::Refused(closed_reason()))).await;
        world.expect_applied(world.store.refuse_review(&waiting_review("r1"), &refused_state())).await;
    }
    let read = world.store.load_review(&pull_request_id(), &review_id("r1")).await.unwrap().unwrap();
    assert!(!read.edited);
    world.expect_applied(world.store.update_edited_review(&pull_request_id(), &read.id, &read.project)).await;
    assert_eq!(write(&world, &read).await, Write::Applied, "{case}");
    let stored = world.store.load_review(&pull_request_id(), &read.id).await.unwrap().unwrap();
    assert!(stored.edited, "{case}");
    assert_ne!(stored.state, read.state, "{case}");
}

#[tokio::test]
async fn edit_mark_survives_every_later_write() {
    let new_version = |state, read: &Review| Review { state, ..read.clone() }.next_version(Some(read));
    check_mark_survives("settled", async |world, read| {
        let revising = RevisePlan::of(world, "r1").await;
        let review = Review { state: revising.review.state.clone(), ..read.clone() };
        RevisePlan { review, ..revising }.start_waiting(&world.store).await.unwrap()
    })
    .await;
    check_mark_survives("told again", async |world, read| {
        let revising = RevisePlan::of(world, "r1").await;
        let review = new_version(revising.review.state.clone(), read);
        RevisePlan { review, ..revising }.start_new(&world.store).await.unwrap()
    })
    .await;
    check_mark_survives("waits anew", async |world, read| {
        remember(&world.store, &new_version(ReviewState::Deferred {}, read), &held_entry("r1")).await.unwrap()
    })
    .await;
    check_mark_survives("taken", async |world, read| {
        let taken = new_version(ReviewState::Started { job: sample::job_id("j1") }, read);
        world.store.assign_review(&taken, None).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn redelivered_review_replaces_the_stored_one() {
    let world = World::with_linked().await;
    let request = Some(pullyard_domain::review::RevisionRequest { message: Some("Again.".into()) });
    let had = Some(sample::job_id("j0"));
    world
        .expect_applied(world.store.assign_review(&Review { request, had, ..review("r1", refused_state()) }, None))
        .await;
    let again = Review { version: 1, at: at(900), ..waiting_review("r1") };
    world.expect_applied(world.store.assign_review(&again, None)).await;
    assert_eq!(world.store.list_reviews(&pull_request_id()).await.unwrap(), vec![again]);
}
