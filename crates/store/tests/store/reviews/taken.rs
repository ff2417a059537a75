//! Tests reviews that move from one job to another, or wait for the end of a job.

use super::{absorbed, entry, held, id, older, reason, refused, review, review_id, waits, waits_for};
use crate::sample::{self, at};
use crate::world::World;
use pullyard_domain::review::{Review, ReviewState};
use pullyard_store::WaitsForJob;
use pullyard_testkit::Fault;

fn started(name: &str, version: u32, job: &str) -> Review {
    Review { version, ..review(name, ReviewState::Started { job: sample::job_id(job) }) }
}

#[tokio::test]
async fn review_is_taken_only_from_the_job_that_has_it() {
    let world = World::with_linked().await;
    world.applies(world.store.take_review(&started("r1", 0, "j1"), None)).await;
    let next = started("r1", 1, "j2");
    world.refuses(world.store.take_review(&next, None)).await;
    world.refuses(world.store.take_review(&next, Some(&sample::job_id("j3")))).await;
    world.applies(world.store.take_review(&next, Some(&sample::job_id("j1")))).await;
    assert_eq!(world.state("r1").await, next.state);
    world.refuses(world.store.take_review(&started("r1", 2, "j3"), Some(&sample::job_id("j1")))).await;
    // A waiting review belongs to no job.
    world.remembers(&["r2"]).await;
    world.refuses(world.store.take_review(&started("r2", 1, "j2"), Some(&sample::job_id("j1")))).await;
}

#[tokio::test]
async fn ticket_mark_keeps_the_first_time_and_raises_the_rev() {
    let (world, job) = World::with_busy().await;
    let before = world.ticket("APP-1").await;
    let (first, second, held) = (waits("r1"), waits("r2"), held("r1"));
    world.applies(world.store.wait_for_job(&waits_for(&first, &held, &job))).await;
    let later = WaitsForJob { opens_at: at(900), delivery: None, ..waits_for(&second, &held, &job) };
    world.applies(world.store.wait_for_job(&later)).await;
    let after = world.ticket("APP-1").await;
    assert_eq!(after.deferred[&id().to_string()], at(500));
    assert_eq!(after.rev, before.rev + 2, "a settle over an earlier read must be stale");
    assert!(!world.item("TICKET#", "TICKET").await.contains_key("wk"), "the end of the job adds the row");
}

#[tokio::test]
async fn ticket_is_marked_once_despite_a_lost_answer() {
    let (world, job) = World::with_busy().await;
    let before = world.ticket("APP-1").await;
    world.faults.next("TransactWriteItems", Fault::LostAnswer);
    world.applies(world.store.wait_for_job(&waits_for(&waits("r1"), &held("r1"), &job))).await;
    assert_eq!(world.ticket("APP-1").await.rev, before.rev + 1);
}

#[tokio::test]
async fn refused_review_waits_with_its_entry_and_ticket_mark() {
    let (world, job) = World::with_busy().await;
    world.applies(world.store.take_review(&review("r1", refused()), None)).await;
    world.applies(world.store.record(&entry("r1", reason()))).await;
    let (anew, entry) = (Review { version: 1, ..waits("r1") }, held("r1"));
    let wait = waits_for(&anew, &entry, &job);
    world.faults.next("TransactWriteItems", Fault::LostAnswer);
    world.applies(world.store.wait_for_job(&wait)).await;
    assert_eq!((world.state("r1").await, world.entry("r1").await), (ReviewState::Deferred {}, entry.clone()));
    assert_eq!(world.ticket("APP-1").await.deferred[&id().to_string()], at(500));
    world.refuses(world.store.wait_for_job(&wait)).await;
}

#[tokio::test]
async fn waiting_review_names_its_previous_job() {
    let (world, job) = World::with_busy().await;
    world.applies(world.store.take_review(&started("r1", 0, "j1"), None)).await;
    let had = Some(sample::job_id("j1"));
    let anew = Review { version: 1, had: had.clone(), ..waits("r1") };
    let entry = held("r1");
    let wait = WaitsForJob { from: had.as_ref(), delivery: None, ..waits_for(&anew, &entry, &job) };
    world.applies(world.store.wait_for_job(&wait)).await;
    assert_eq!(world.store.reviews(&id()).await.unwrap()[1], anew);
    // Neither an absorption nor a refusal removes the previous job.
    world.remembers(&["r2"]).await;
    world.applies(world.store.absorb_reviews(&id(), &review_id("r2"), &older(&["r1"]))).await;
    let newest = Review { version: 1, ..waits("r2") };
    let absorbed = Review { state: absorbed("r2"), ..anew };
    world.applies(world.store.refuse_with(&newest, &[&absorbed], &refused())).await;
    assert_eq!(world.store.reviews(&id()).await.unwrap()[1], Review { state: refused(), ..absorbed });
}
