//! Tests reviews without a job of their own: absorbed, refused, and with a concluded ledger entry.

use super::{Revising, absorbed, entry, held, id, older, reason, refused, remember, review_id, waits};
use crate::sample;
use crate::world::World;
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Delivery;
use pullyard_domain::review::{Review, ReviewState};
use pullyard_store::Conclusion;
use pullyard_testkit::Fault;

#[tokio::test]
async fn older_reviews_are_absorbed_once() {
    let world = World::with_linked().await;
    world.remembers(&["r1", "r2", "r3"]).await;
    world.applies(world.store.absorb_reviews(&id(), &review_id("r3"), &older(&["r1", "r2"]))).await;
    for (name, state) in [("r1", absorbed("r3")), ("r2", absorbed("r3")), ("r3", ReviewState::Deferred {})] {
        assert_eq!(world.state(name).await, state, "{name}");
    }
}

#[tokio::test]
async fn only_waiting_reviews_absorb_and_are_absorbed() {
    let world = World::with_linked().await;
    world.remembers(&["r1", "r2"]).await;
    world.refuses(world.store.absorb_reviews(&id(), &review_id("gone"), &older(&["r1"]))).await;
    world.refuses(world.store.absorb_reviews(&id(), &review_id("r2"), &older(&["r1", "gone"]))).await;
    world.applies(Revising::of(&world, "r2").await.settled(&world.store)).await;
    world.refuses(world.store.absorb_reviews(&id(), &review_id("r2"), &older(&["r1"]))).await;
}

#[tokio::test]
async fn maximum_number_of_reviews_fits_one_transaction() {
    let world = World::with_linked().await;
    let names: Vec<String> =
        (0..=pullyard_domain::review::settle::MAX_ABSORBED).map(|number| format!("r{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.remembers(&names).await;
    let (newest, rest) = names.split_last().unwrap();
    world.applies(world.store.absorb_reviews(&id(), &review_id(newest), &older(rest))).await;
    let newest = Review { version: 1, ..waits(newest) };
    let rest: Vec<Review> = rest.iter().map(|name| waits(name)).collect();
    world.applies(world.store.refuse_with(&newest, &rest.iter().collect::<Vec<_>>(), &refused())).await;
}

#[tokio::test]
async fn waiting_and_absorbed_reviews_are_refused_with_the_newest() {
    let world = World::with_linked().await;
    world.remembers(&["r1", "r2", "r3"]).await;
    world.applies(world.store.absorb_reviews(&id(), &review_id("r3"), &older(&["r1"]))).await;
    let newest = Review { version: 1, ..waits("r3") };
    world.faults.next("TransactWriteItems", Fault::LostAnswer);
    world.applies(world.store.refuse_with(&newest, &[&waits("r1"), &waits("r2")], &refused())).await;
    world.refuses(world.store.refuse_with(&newest, &[&waits("r1"), &waits("r2")], &refused())).await;
    world.faults.next("UpdateItem", Fault::LostAnswer);
    world.applies(world.store.refuse_review(&newest, &refused())).await;
    world.refuses(world.store.refuse_review(&newest, &refused())).await;
    for name in ["r1", "r2", "r3"] {
        assert_eq!(world.state(name).await, refused(), "{name}");
    }
}

#[tokio::test]
async fn review_that_absorbed_another_is_not_refused_by_stale_read() {
    let world = World::with_linked().await;
    world.remembers(&["r1", "r2"]).await;
    world.applies(world.store.absorb_reviews(&id(), &review_id("r2"), &older(&["r1"]))).await;
    world.refuses(world.store.refuse_review(&waits("r2"), &refused())).await;
    world.refuses(world.store.refuse_with(&waits("r2"), &[&waits("r1")], &refused())).await;
}

#[tokio::test]
async fn started_or_unknown_review_is_not_refused() {
    let world = World::with_linked().await;
    world.remembers(&["r1", "r2"]).await;
    world.refuses(world.store.refuse_review(&waits("gone"), &refused())).await;
    world.refuses(world.store.refuse_with(&waits("r1"), &[&waits("gone")], &refused())).await;
    world.applies(Revising::of(&world, "r2").await.settled(&world.store)).await;
    world.refuses(world.store.refuse_review(&waits("r2"), &refused())).await;
    world.refuses(world.store.refuse_with(&waits("r2"), &[&waits("r1")], &refused())).await;
}

#[tokio::test]
async fn concluded_held_entry_names_its_job_and_keeps_its_reason() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    let job = sample::job_id("j1");
    world.faults.next("UpdateItem", Fault::LostAnswer);
    world.applies(world.store.conclude(&held("r1").id, &Conclusion::Covered(job.clone()))).await;
    assert_eq!(world.entry("r1").await, Delivery { job: Some(job.clone()), ..held("r1") });
    world.refuses(world.store.conclude(&held("r1").id, &Conclusion::Covered(sample::job_id("j2")))).await;
    world.refuses(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
    world.refuses(world.store.record(&held("r1"))).await;
}

#[tokio::test]
async fn refusal_of_a_held_entry_may_be_decided_again() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    for _ in 0..2 {
        world.applies(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
        assert_eq!(world.entry("r1").await, Delivery { reason: reason(), ..held("r1") });
    }
    world.applies(world.store.record(&entry("r1", Reason::OwnReview {}))).await;
}

#[tokio::test]
async fn paused_entry_becomes_accepted_when_covered() {
    let world = World::with_linked().await;
    let paused = entry("r1", Reason::ProjectHeld { project: sample::project(), who: "ann".into() });
    world.applies(remember(&world.store, &waits("r1"), &paused)).await;
    let job = sample::job_id("j1");
    world.applies(world.store.conclude(&paused.id, &Conclusion::Covered(job.clone()))).await;
    let accepted = Reason::Accepted { job: job.clone() };
    assert_eq!(world.entry("r1").await, Delivery { reason: accepted, job: Some(job), ..paused.clone() });
    world.refuses(world.store.record(&paused)).await;
}

#[tokio::test]
async fn unknown_entry_is_not_concluded() {
    let world = World::with_linked().await;
    world.refuses(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
    world.refuses(world.store.conclude(&held("r1").id, &Conclusion::Covered(sample::job_id("j1")))).await;
}
