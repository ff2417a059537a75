//! Tests reviews without a job of their own: absorbed, refused, and with a concluded ledger entry.

use super::{
    RevisePlan, absorbed_state, closed_reason, held_entry, ledger_entry, refused_state, remember, waiting_review,
};
use crate::prelude::*;
use crate::world::World;

#[tokio::test]
async fn older_reviews_are_absorbed_once() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1", "r2", "r3"]).await;
    world.expect_applied(world.absorb("r3", &["r1", "r2"])).await;
    for (name, state) in [("r1", absorbed_state("r3")), ("r2", absorbed_state("r3")), ("r3", ReviewState::Deferred {})]
    {
        assert_eq!(world.review_state(name).await, state, "{name}");
    }
}

#[tokio::test]
async fn only_waiting_reviews_absorb_and_are_absorbed() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1", "r2"]).await;
    world.expect_refused(world.absorb("gone", &["r1"])).await;
    world.expect_refused(world.absorb("r2", &["r1", "gone"])).await;
    world.expect_applied(RevisePlan::of(&world, "r2").await.start_waiting(&world.store)).await;
    world.expect_refused(world.absorb("r2", &["r1"])).await;
}

#[tokio::test]
async fn maximum_number_of_reviews_fits_one_transaction() {
    let world = World::with_linked().await;
    let names: Vec<String> =
        (0..=pullyard_domain::review::settle::MAX_ABSORBED).map(|number| format!("r{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.remember_reviews(&names).await;
    let (newest, rest) = names.split_last().unwrap();
    world.expect_applied(world.absorb(newest, rest)).await;
    let newest = Review { version: 1, ..waiting_review(newest) };
    world.expect_applied(world.refuse_absorbed(&newest, rest)).await;
}

#[tokio::test]
async fn waiting_and_absorbed_reviews_are_refused_with_the_newest() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1", "r2", "r3"]).await;
    world.expect_applied(world.absorb("r3", &["r1"])).await;
    let newest = Review { version: 1, ..waiting_review("r3") };
    world.faults.fail_next("TransactWriteItems", Fault::LostAnswer);
    world.expect_applied(world.refuse_absorbed(&newest, &["r1", "r2"])).await;
    world.expect_refused(world.refuse_absorbed(&newest, &["r1", "r2"])).await;
    world.faults.fail_next("UpdateItem", Fault::LostAnswer);
    world.expect_applied(world.store.refuse_review(&newest, &refused_state())).await;
    world.expect_refused(world.store.refuse_review(&newest, &refused_state())).await;
    for name in ["r1", "r2", "r3"] {
        assert_eq!(world.review_state(name).await, refused_state(), "{name}");
    }
}

#[tokio::test]
async fn review_that_absorbed_another_is_not_refused_by_stale_read() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1", "r2"]).await;
    world.expect_applied(world.absorb("r2", &["r1"])).await;
    world.expect_refused(world.store.refuse_review(&waiting_review("r2"), &refused_state())).await;
    world.expect_refused(world.refuse_absorbed(&waiting_review("r2"), &["r1"])).await;
}

#[tokio::test]
async fn started_or_unknown_review_is_not_refused() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1", "r2"]).await;
    world.expect_refused(world.store.refuse_review(&waiting_review("gone"), &refused_state())).await;
    world.expect_refused(world.refuse_absorbed(&waiting_review("r1"), &["gone"])).await;
    world.expect_applied(RevisePlan::of(&world, "r2").await.start_waiting(&world.store)).await;
    world.expect_refused(world.store.refuse_review(&waiting_review("r2"), &refused_state())).await;
    world.expect_refused(world.refuse_absorbed(&waiting_review("r2"), &["r1"])).await;
}

#[tokio::test]
async fn concluded_held_entry_names_its_job_and_keeps_its_reason() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1"]).await;
    let job = sample::job_id("j1");
    world.faults.fail_next("UpdateItem", Fault::LostAnswer);
    world.expect_applied(world.conclude("r1", Conclusion::Job(job.clone()))).await;
    assert_eq!(world.entry("r1").await, Delivery { job: Some(job.clone()), ..held_entry("r1") });
    world.expect_refused(world.conclude("r1", Conclusion::Job(sample::job_id("j2")))).await;
    world.expect_refused(world.conclude("r1", Conclusion::Refused(closed_reason()))).await;
    world.expect_refused(world.store.record_delivery(&held_entry("r1"))).await;
}

#[tokio::test]
async fn refusal_of_a_held_entry_may_be_decided_again() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1"]).await;
    for _ in 0..2 {
        world.expect_applied(world.conclude("r1", Conclusion::Refused(closed_reason()))).await;
        assert_eq!(world.entry("r1").await, Delivery { reason: closed_reason(), ..held_entry("r1") });
    }
    world.expect_applied(world.store.record_delivery(&ledger_entry("r1", Reason::OwnReview {}))).await;
}

#[tokio::test]
async fn paused_entry_becomes_accepted_when_covered() {
    let world = World::with_linked().await;
    let paused = ledger_entry("r1", Reason::ProjectHeld { project: sample::project(), who: "ann".into() });
    world.expect_applied(remember(&world.store, &waiting_review("r1"), &paused)).await;
    let job = sample::job_id("j1");
    world.expect_applied(world.store.conclude_review(&paused.id, &Conclusion::Job(job.clone()))).await;
    let accepted = Reason::Accepted { job: job.clone() };
    assert_eq!(world.entry("r1").await, Delivery { reason: accepted, job: Some(job), ..paused.clone() });
    world.expect_refused(world.store.record_delivery(&paused)).await;
}

#[tokio::test]
async fn unknown_entry_is_not_concluded() {
    let world = World::with_linked().await;
    world.expect_refused(world.conclude("r1", Conclusion::Refused(closed_reason()))).await;
    world.expect_refused(world.conclude("r1", Conclusion::Job(sample::job_id("j1")))).await;
}
