//! A review is taken over from the job that has it, or waits until a job has ended.

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
async fn a_review_is_taken_over_from_the_job_that_has_it_and_from_no_other() {
    let world = World::with_linked().await;
    world.applies(world.store.take_review(&started("r1", 0, "j1"), None)).await;
    let next = started("r1", 1, "j2");
    world.refuses(world.store.take_review(&next, None)).await;
    world.refuses(world.store.take_review(&next, Some(&sample::job_id("j3")))).await;
    world.applies(world.store.take_review(&next, Some(&sample::job_id("j1")))).await;
    assert_eq!(world.state("r1").await, next.state);
    world.refuses(world.store.take_review(&started("r1", 2, "j3"), Some(&sample::job_id("j1")))).await;
    // What waits is no job's.
    world.remembers(&["r2"]).await;
    world.refuses(world.store.take_review(&started("r2", 1, "j2"), Some(&sample::job_id("j1")))).await;
}

#[tokio::test]
async fn a_ticket_knows_of_what_waits_for_its_job_and_keeps_the_first_time() {
    let (world, job) = World::with_busy().await;
    let before = world.ticket("APP-1").await;
    let (first, second, held) = (waits("r1"), waits("r2"), held("r1"));
    world.applies(world.store.wait_for_job(&waits_for(&first, &held, &job))).await;
    let later = WaitsForJob { opens_at: at(900), delivery: None, ..waits_for(&second, &held, &job) };
    world.applies(world.store.wait_for_job(&later)).await;
    let after = world.ticket("APP-1").await;
    assert_eq!(after.deferred[&id().to_string()], at(500));
    assert_eq!(after.rev, before.rev + 2, "a settling that has not seen it can't end");
    assert!(!world.item("TICKET#", "TICKET").await.contains_key("wk"), "the job's end sees to it");
}

#[tokio::test]
async fn a_ticket_is_told_though_the_answer_was_lost_and_not_twice() {
    let (world, job) = World::with_busy().await;
    let before = world.ticket("APP-1").await;
    world.faults.next("TransactWriteItems", Fault::LostAnswer);
    world.applies(world.store.wait_for_job(&waits_for(&waits("r1"), &held("r1"), &job))).await;
    assert_eq!(world.ticket("APP-1").await.rev, before.rev + 1);
}

#[tokio::test]
async fn a_ticket_that_is_free_or_gone_waits_for_no_job() {
    let world = World::with_linked().await;
    let (of_another, held, job) =
        (Review { ticket: sample::ticket("APP-2").key, ..waits("r1") }, held("r1"), sample::job_id("j"));
    world.refuses(world.store.wait_for_job(&waits_for(&waits("r1"), &held, &job))).await;
    world.refuses(world.store.wait_for_job(&waits_for(&of_another, &held, &job))).await;
}

#[tokio::test]
async fn a_refused_review_waits_for_a_job_with_its_entry_and_the_mark_of_its_ticket() {
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
async fn nothing_waits_for_a_job_that_its_ticket_does_not_have_or_over_another_job_of_its_own() {
    let (world, job) = World::with_busy().await;
    world.applies(world.store.take_review(&review("r1", refused()), None)).await;
    let (anew, entry) = (Review { version: 1, ..waits("r1") }, held("r1"));
    let over = sample::job_id("over");
    world.refuses(world.store.wait_for_job(&waits_for(&anew, &entry, &over))).await;
    world.applies(world.store.take_review(&started("r2", 0, "j1"), None)).await;
    let anew = Review { version: 1, ..waits("r2") };
    let (j1, j2) = (sample::job_id("j1"), sample::job_id("j2"));
    let wait = |from| WaitsForJob { from, delivery: None, ..waits_for(&anew, &entry, &job) };
    world.refuses(world.store.wait_for_job(&wait(None))).await;
    world.refuses(world.store.wait_for_job(&wait(Some(&j2)))).await;
    world.applies(world.store.wait_for_job(&wait(Some(&j1)))).await;
    assert_eq!(world.state("r2").await, ReviewState::Deferred {});
}

#[tokio::test]
async fn a_review_that_waits_after_a_job_had_it_says_which_until_it_has_the_next_one() {
    let (world, job) = World::with_busy().await;
    world.applies(world.store.take_review(&started("r1", 0, "j1"), None)).await;
    let had = Some(sample::job_id("j1"));
    let anew = Review { version: 1, had: had.clone(), ..waits("r1") };
    let entry = held("r1");
    let wait = WaitsForJob { from: had.as_ref(), delivery: None, ..waits_for(&anew, &entry, &job) };
    world.applies(world.store.wait_for_job(&wait)).await;
    assert_eq!(world.store.reviews(&id()).await.unwrap()[1], anew);
    // Neither who stands for it nor its last answer makes it forget.
    world.remembers(&["r2"]).await;
    world.applies(world.store.absorb_reviews(&id(), &review_id("r2"), &older(&["r1"]))).await;
    let newest = Review { version: 1, ..waits("r2") };
    let absorbed = Review { state: absorbed("r2"), ..anew };
    world.applies(world.store.refuse_with(&newest, &[&absorbed], &refused())).await;
    assert_eq!(world.store.reviews(&id()).await.unwrap()[1], Review { state: refused(), ..absorbed });
}

#[tokio::test]
async fn a_review_is_taken_back_from_the_job_that_has_it_and_from_no_other() {
    let world = World::with_linked().await;
    world.applies(world.store.take_review(&started("r1", 0, "j1"), None)).await;
    let (j1, j2) = (sample::job_id("j1"), sample::job_id("j2"));
    let back = Review { version: 1, had: Some(j1.clone()), ..review("r1", refused()) };
    world.refuses(world.store.take_review(&back, Some(&j2))).await;
    world.applies(world.store.take_review(&back, Some(&j1))).await;
    assert_eq!(world.store.reviews(&id()).await.unwrap(), vec![back.clone()]);
    world.refuses(world.store.take_review(&back, Some(&j1))).await;
}
