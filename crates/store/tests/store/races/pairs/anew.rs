//! Tests reviews that are delivered again after a refusal, while other writers still hold the earlier read.

use super::count;
use crate::races::rounds::{Came, tally};
use crate::races::{RACERS, race};
use crate::reviews::{absorbed, held, id, refused, remember, review, review_id, waits, waits_for};
use crate::world::World;
use pullyard_domain::id::JobId;
use pullyard_domain::review::{Review, ReviewState};
use pullyard_store::{Error, Write};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Delivers the review again after its refusal. By `way`, the active job gets it, or it waits for the job's end, or it
/// is only remembered.
async fn tell_anew(world: &World, name: &str, job: &JobId, way: usize) -> Result<Came, Error> {
    loop {
        let read = world.store.review(&id(), &review_id(name)).await?.expect("the review is never deleted");
        if read.version > 0 {
            return Ok("known");
        }
        if read.state != refused() {
            // The refusal has not happened yet.
            continue;
        }
        let (anew, entry) = (Review { version: 1, ..waits(name) }, held(name));
        let written = match way {
            0 => world.store.take_review(&read.assign_to(job), None).await?,
            1 => world.store.wait_for_job(&waits_for(&anew, &entry, job)).await?,
            _ => remember(&world.store, &anew, &entry).await?,
        };
        if written == Write::Applied {
            return Ok("told");
        }
    }
}

/// Exactly one racer redelivered the review. With lost answers, that racer may not know of its success.
fn check_told(world: &World, came: &BTreeMap<Came, usize>) {
    let told = count(came, "told");
    assert!(told == 1 || told == 0 && !world.is_calm(), "{came:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redelivered_review_is_not_refused_by_a_stale_reader() {
    let (world, job) = World::with_busy().await;
    world.applies(world.store.take_review(&waits("n1"), None)).await;
    let (world, before) = (Arc::new(world), waits("n1"));
    let ticket = world.ticket("APP-1").await;
    let came = race(&world, |world, number| {
        let (job, before) = (job.clone(), before.clone());
        async move {
            match number % 2 {
                0 => world.store.refuse_review(&before, &refused()).await.map(|_| "refused"),
                _ => tell_anew(&world, "n1", &job, number / 2 % 3).await,
            }
        }
    })
    .await;
    check_told(&world, &tally(&came));
    let stored = world.store.review(&id(), &review_id("n1")).await.unwrap().unwrap();
    let (entry, after) = (world.store.delivery(&held("n1").id).await.unwrap(), world.ticket("APP-1").await);
    let marked = after.has_deferred(&id());
    match stored.state {
        ReviewState::Started { job: had } => assert_eq!((had, entry, marked), (job, None, false)),
        state => assert_eq!((state, entry), (ReviewState::Deferred {}, Some(held("n1")))),
    }
    assert_eq!((stored.version, after.rev), (1, ticket.rev + u64::from(marked)));
    world.whole().await;
}

/// Lets `r2` absorb `r1`, which waited when it was read.
async fn absorb(world: &World) -> Result<Came, Error> {
    loop {
        if world.store.absorb_reviews(&id(), &review_id("r2"), &[review_id("r1")]).await? == Write::Applied {
            return Ok("absorbed");
        }
        match world.state("r1").await {
            ReviewState::Started { .. } => return Ok("too late"),
            ReviewState::Absorbed { .. } => return Ok("absorbed"),
            ReviewState::Deferred {} | ReviewState::Refused { .. } => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redelivered_review_is_started_or_absorbed_never_both() {
    let (world, job) = World::with_busy().await;
    world.remembers(&["r2"]).await;
    world.applies(world.store.take_review(&review("r1", refused()), None)).await;
    let world = Arc::new(world);
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => absorb(&world).await,
                _ => tell_anew(&world, "r1", &job, number / 2 % 3).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    check_told(&world, &came);
    let read = async |name: &str| world.store.review(&id(), &review_id(name)).await.unwrap().unwrap();
    let (older, newest) = (read("r1").await, read("r2").await);
    let taken = older.state == ReviewState::Started { job };
    let expected = if taken { ("too late", 0) } else { ("absorbed", 1) };
    assert_eq!((count(&came, expected.0), newest.version), (RACERS / 2, expected.1), "{came:?}");
    assert!(taken || older.state == absorbed("r2"), "{older:?}");
    assert_eq!((older.version, newest.state), (1, ReviewState::Deferred {}));
    world.whole().await;
}
