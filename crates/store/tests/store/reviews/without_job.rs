//! Tests reviews without a job of their own: absorbed, refused, and with a concluded ledger entry.

use super::{
    RevisePlan, absorbed_state, closed_reason, held_entry, ledger_entry, pull_request_id, refused_state, remember,
    review_id, review_ids, waiting_review,
};
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
    world.remember_reviews(&["r1", "r2", "r3"]).await;
    world
        .expect_applied(world.store.absorb_reviews(&pull_request_id(), &review_id("r3"), &review_ids(&["r1", "r2"])))
        .await;
    for (name, state) in [("r1", absorbed_state("r3")), ("r2", absorbed_state("r3")), ("r3", ReviewState::Deferred {})]
    {
        assert_eq!(world.review_state(name).await, state, "{name}");
    }
}

#[tokio::test]
async fn only_waiting_reviews_absorb_and_are_absorbed() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1", "r2"]).await;
    world
        .expect_refused(world.store.absorb_reviews(&pull_request_id(), &review_id("gone"), &review_ids(&["r1"])))
        .await;
    world
        .expect_refused(world.store.absorb_reviews(&pull_request_id(), &review_id("r2"), &review_ids(&["r1", "gone"])))
        .await;
    world.expect_applied(RevisePlan::of(&world, "r2").await.start_waiting(&world.store)).await;
    world.expect_refused(world.store.absorb_reviews(&pull_request_id(), &review_id("r2"), &review_ids(&["r1"]))).await;
}

#[tokio::test]
async fn maximum_number_of_reviews_fits_one_transaction() {
    let world = World::with_linked().await;
    let names: Vec<String> =
        (0..=pullyard_domain::review::settle::MAX_ABSORBED).map(|number| format!("r{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.remember_reviews(&names).await;
    let (newest, rest) = names.split_last().unwrap();
    world.expect_applied(world.store.absorb_reviews(&pull_request_id(), &review_id(newest), &review_ids(rest))).await;
    let newest = Review { version: 1, ..waiting_review(newest) };
    let rest: Vec<Review> = rest.iter().map(|name| waiting_review(name)).collect();
    world
        .expect_applied(world.store.refuse_absorbed_reviews(
            &newest,
            &rest.iter().collect::<Vec<_>>(),
            &refused_state(),
        ))
        .await;
}

#[tokio::test]
async fn waiting_and_absorbed_reviews_are_refused_with_the_newest() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1", "r2", "r3"]).await;
    world.expect_applied(world.store.absorb_reviews(&pull_request_id(), &review_id("r3"), &review_ids(&["r1"]))).await;
    let newest = Review { version: 1, ..waiting_review("r3") };
    world.faults.fail_next("TransactWriteItems", Fault::LostAnswer);
    world
        .expect_applied(world.store.refuse_absorbed_reviews(
            &newest,
            &[&waiting_review("r1"), &waiting_review("r2")],
            &refused_state(),
        ))
        .await;
    world
        .expect_refused(world.store.refuse_absorbed_reviews(
            &newest,
            &[&waiting_review("r1"), &waiting_review("r2")],
            &refused_state(),
        ))
        .await;
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
    world.expect_applied(world.store.absorb_reviews(&pull_request_id(), &review_id("r2"), &review_ids(&["r1"]))).await;
    world.expect_refused(world.store.refuse_review(&waiting_review("r2"), &refused_state())).await;
    world
        .expect_refused(world.store.refuse_absorbed_reviews(
            &waiting_review("r2"),
            &[&waiting_review("r1")],
            &refused_state(),
        ))
        .await;
}

#[tokio::test]
async fn started_or_unknown_review_is_not_refused() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1", "r2"]).await;
    world.expect_refused(world.store.refuse_review(&waiting_review("gone"), &refused_state())).await;
    world
        .expect_refused(world.store.refuse_absorbed_reviews(
            &waiting_review("r1"),
            &[&waiting_review("gone")],
            &refused_state(),
        ))
        .await;
    world.expect_applied(RevisePlan::of(&world, "r2").await.start_waiting(&world.store)).await;
    world.expect_refused(world.store.refuse_review(&waiting_review("r2"), &refused_state())).await;
    world
        .expect_refused(world.store.refuse_absorbed_reviews(
            &waiting_review("r2"),
            &[&waiting_review("r1")],
            &refused_state(),
        ))
        .await;
}

#[tokio::test]
async fn concluded_held_entry_names_its_job_and_keeps_its_reason() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1"]).await;
    let job = sample::job_id("j1");
    world.faults.fail_next("UpdateItem", Fault::LostAnswer);
    world.expect_applied(world.store.conclude_review(&held_entry("r1").id, &Conclusion::Job(job.clone()))).await;
    assert_eq!(world.entry("r1").await, Delivery { job: Some(job.clone()), ..held_entry("r1") });
    world
        .expect_refused(world.store.conclude_review(&held_entry("r1").id, &Conclusion::Job(sample::job_id("j2"))))
        .await;
    world
        .expect_refused(world.store.conclude_review(&held_entry("r1").id, &Conclusion::Refused(closed_reason())))
        .await;
    world.expect_refused(world.store.record_delivery(&held_entry("r1"))).await;
}

#[tokio::test]
async fn refusal_of_a_held_entry_may_be_decided_again() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1"]).await;
    for _ in 0..2 {
        world
            .expect_applied(world.store.conclude_review(&held_entry("r1").id, &Conclusion::Refused(closed_reason())))
            .await;
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
    world
        .expect_refused(world.store.conclude_review(&held_entry("r1").id, &Conclusion::Refused(closed_reason())))
        .await;
    world
        .expect_refused(world.store.conclude_review(&held_entry("r1").id, &Conclusion::Job(sample::job_id("j1"))))
        .await;
}
