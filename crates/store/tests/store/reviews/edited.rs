//! The mark that a review was edited, which no other write takes off.

use super::{Revising, held, id, reason, refused, remember, review, review_id, waits};
use crate::sample::{self, at};
use crate::world::World;
use pullyard_domain::review::{Review, ReviewState};
use pullyard_store::{Conclusion, Write};

#[tokio::test]
async fn a_review_that_nobody_knows_is_not_noted_as_edited() {
    let world = World::with_linked().await;
    world.refuses(world.store.note_review_edited(&id(), &review_id("gone"), &sample::project())).await;
}

#[tokio::test]
async fn a_review_is_noted_as_edited_for_the_project_that_has_it_alone() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    let edited = async || world.store.review(&id(), &review_id("r1")).await.unwrap().unwrap().edited;
    let other = pullyard_domain::id::ProjectId::new("neighbour").unwrap();
    world.refuses(world.store.note_review_edited(&id(), &review_id("r1"), &other)).await;
    assert!(!edited().await);
    world.applies(world.store.note_review_edited(&id(), &review_id("r1"), &sample::project())).await;
    assert!(edited().await);
}

/// A mark that is noted between the read of a stored review and `write` is still there after it.
async fn check_mark_stays(what: &str, write: impl AsyncFn(&World, &Review) -> Write) {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    if what != "settled" {
        world.applies(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
        world.applies(world.store.refuse_review(&waits("r1"), &refused())).await;
    }
    let read = world.store.review(&id(), &review_id("r1")).await.unwrap().unwrap();
    assert!(!read.edited);
    world.applies(world.store.note_review_edited(&id(), &read.id, &read.project)).await;
    assert_eq!(write(&world, &read).await, Write::Applied, "{what}");
    let stored = world.store.review(&id(), &read.id).await.unwrap().unwrap();
    assert!(stored.edited, "{what}");
    assert_ne!(stored.state, read.state, "{what}");
}

#[tokio::test]
async fn a_review_that_is_edited_while_it_gets_its_job_or_waits_anew_is_still_known_as_edited() {
    let anew = |state, read: &Review| Review { state, ..read.clone() }.after(Some(read));
    check_mark_stays("settled", async |world, read| {
        let revising = Revising::of(world, "r1").await;
        let review = Review { state: revising.review.state.clone(), ..read.clone() };
        Revising { review, ..revising }.settled(&world.store).await.unwrap()
    })
    .await;
    check_mark_stays("told again", async |world, read| {
        let revising = Revising::of(world, "r1").await;
        let review = anew(revising.review.state.clone(), read);
        Revising { review, ..revising }.direct(&world.store).await.unwrap()
    })
    .await;
    check_mark_stays("waits anew", async |world, read| {
        remember(&world.store, &anew(ReviewState::Deferred {}, read), &held("r1")).await.unwrap()
    })
    .await;
    check_mark_stays("taken", async |world, read| {
        let taken = anew(ReviewState::Started { job: sample::job_id("j1") }, read);
        world.store.take_review(&taken, None).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_review_that_is_told_again_is_replaced_but_for_that_mark() {
    let world = World::with_linked().await;
    let request = Some(pullyard_domain::review::Request { message: Some("Again.".into()) });
    let had = Some(sample::job_id("j0"));
    world.applies(world.store.take_review(&Review { request, had, ..review("r1", refused()) }, None)).await;
    let again = Review { version: 1, at: at(900), ..waits("r1") };
    world.applies(world.store.take_review(&again, None)).await;
    assert_eq!(world.store.reviews(&id()).await.unwrap(), vec![again]);
}
