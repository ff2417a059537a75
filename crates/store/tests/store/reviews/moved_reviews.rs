//! Tests reviews that move from one job to another, or wait for the end of a job.

use super::{
    absorbed_state, closed_reason, held_entry, ledger_entry, pull_request_id, refused_state, review, wait_request,
    waiting_review,
};
use crate::prelude::*;
use crate::sample;
use crate::world::World;

fn started_review(name: &str, version: u32, job: &str) -> Review {
    Review { version, ..review(name, ReviewState::Started { job: sample::job_id(job) }) }
}

#[tokio::test]
async fn review_is_taken_only_from_the_job_that_has_it() {
    let world = World::with_linked().await;
    world.expect_applied(world.store.assign_review(&started_review("r1", 0, "j1"), None)).await;
    let next = started_review("r1", 1, "j2");
    world.expect_refused(world.store.assign_review(&next, None)).await;
    world.expect_refused(world.store.assign_review(&next, Some(&sample::job_id("j3")))).await;
    world.expect_applied(world.store.assign_review(&next, Some(&sample::job_id("j1")))).await;
    assert_eq!(world.review_state("r1").await, next.state);
    world.expect_refused(world.store.assign_review(&started_review("r1", 2, "j3"), Some(&sample::job_id("j1")))).await;
    // A waiting review belongs to no job.
    world.remember_reviews(&["r2"]).await;
    world.expect_refused(world.store.assign_review(&started_review("r2", 1, "j2"), Some(&sample::job_id("j1")))).await;
}

#[tokio::test]
async fn ticket_mark_keeps_the_first_time_and_raises_the_rev() {
    let (world, job) = World::with_running_job().await;
    let before = world.ticket("APP-1").await;
    let (first, second, held) = (waiting_review("r1"), waiting_review("r2"), held_entry("r1"));
    world.expect_applied(world.store.wait_for_job(&wait_request(&first, &held, &job))).await;
    let later = ReviewWait { opens_at: at(900), delivery: None, ..wait_request(&second, &held, &job) };
    world.expect_applied(world.store.wait_for_job(&later)).await;
    let after = world.ticket("APP-1").await;
    assert_eq!(after.deferred[&pull_request_id().to_string()], at(500));
    assert_eq!(after.rev, before.rev + 2, "a settle over an earlier read must be stale");
    assert!(!world.item("TICKET#", "TICKET").await.contains_key("wk"), "the end of the job adds the row");
}

#[tokio::test]
async fn ticket_is_marked_once_despite_a_lost_answer() {
    let (world, job) = World::with_running_job().await;
    let before = world.ticket("APP-1").await;
    world.faults.fail_next("TransactWriteItems", Fault::LostAnswer);
    world.expect_applied(world.store.wait_for_job(&wait_request(&waiting_review("r1"), &held_entry("r1"), &job))).await;
    assert_eq!(world.ticket("APP-1").await.rev, before.rev + 1);
}

#[tokio::test]
async fn refused_review_waits_with_its_entry_and_ticket_mark() {
    let (world, job) = World::with_running_job().await;
    world.expect_applied(world.store.assign_review(&review("r1", refused_state()), None)).await;
    world.expect_applied(world.store.record_delivery(&ledger_entry("r1", closed_reason()))).await;
    let (new_version, entry) = (Review { version: 1, ..waiting_review("r1") }, held_entry("r1"));
    let wait = wait_request(&new_version, &entry, &job);
    world.faults.fail_next("TransactWriteItems", Fault::LostAnswer);
    world.expect_applied(world.store.wait_for_job(&wait)).await;
    assert_eq!((world.review_state("r1").await, world.entry("r1").await), (ReviewState::Deferred {}, entry.clone()));
    assert_eq!(world.ticket("APP-1").await.deferred[&pull_request_id().to_string()], at(500));
    world.expect_refused(world.store.wait_for_job(&wait)).await;
}

#[tokio::test]
async fn waiting_review_names_its_previous_job() {
    let (world, job) = World::with_running_job().await;
    world.expect_applied(world.store.assign_review(&started_review("r1", 0, "j1"), None)).await;
    let had = Some(sample::job_id("j1"));
    let new_version = Review { version: 1, had: had.clone(), ..waiting_review("r1") };
    let entry = held_entry("r1");
    let wait = ReviewWait { from: had.as_ref(), delivery: None, ..wait_request(&new_version, &entry, &job) };
    world.expect_applied(world.store.wait_for_job(&wait)).await;
    assert_eq!(world.store.list_reviews(&pull_request_id()).await.unwrap()[1], new_version);
    // Neither an absorption nor a refusal removes the previous job.
    world.remember_reviews(&["r2"]).await;
    world.expect_applied(world.absorb("r2", &["r1"])).await;
    let newest = Review { version: 1, ..waiting_review("r2") };
    let absorbed = Review { state: absorbed_state("r2"), ..new_version };
    world.expect_applied(world.store.refuse_absorbed_reviews(&newest, &[&absorbed], &refused_state())).await;
    assert_eq!(
        world.store.list_reviews(&pull_request_id()).await.unwrap()[1],
        Review { state: refused_state(), ..absorbed }
    );
}
