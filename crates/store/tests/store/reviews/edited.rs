//! Tests the edit mark of a review, which no other write removes.

use super::{Revising, held, id, reason, refused, remember, review, review_id, waits};
use crate::sample::{self, at};
use crate::world::World;
use pullyard_domain::review::{Review, ReviewState};
use pullyard_store::{Conclusion, Write};

#[tokio::test]
async fn unknown_review_is_not_marked_as_edited() {
    let world = World::with_linked().await;
    world.refuses(world.store.note_review_edited(&id(), &review_id("gone"), &sample::project())).await;
}

#[tokio::test]
async fn review_is_marked_as_edited_only_for_its_project() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    let edited = async || world.store.review(&id(), &review_id("r1")).await.unwrap().unwrap().edited;
    let other = pullyard_domain::id::ProjectId::new("neighbour").unwrap();
    world.refuses(world.store.note_review_edited(&id(), &review_id("r1"), &other)).await;
    assert!(!edited().await);
    world.applies(world.store.note_review_edited(&id(), &review_id("r1"), &sample::project())).await;
    assert!(edited().await);
}

/// Asserts that an edit mark stored between the read of a review and `write` survives the write.
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
async fn edit_mark_survives_every_later_write() {
    let anew = |state, read: &Review| Review { state, ..read.clone() }.next_version(Some(read));
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
async fn redelivered_review_replaces_the_stored_one() {
    let world = World::with_linked().await;
    let request = Some(pullyard_domain::review::RevisionRequest { message: Some("Again.".into()) });
    let had = Some(sample::job_id("j0"));
    world.applies(world.store.take_review(&Review { request, had, ..review("r1", refused()) }, None)).await;
    let again = Review { version: 1, at: at(900), ..waits("r1") };
    world.applies(world.store.take_review(&again, None)).await;
    assert_eq!(world.store.reviews(&id()).await.unwrap(), vec![again]);
}
