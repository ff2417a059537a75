//! Pull requests, their reviews and their hooks.

use super::count;
use crate::races::rounds::tally;
use crate::races::{race, world};
use crate::reviews::{Revising, held, id, waits};
use crate::sample::at;
use crate::world::World;
use pullyard_domain::decision::Reason;
use pullyard_domain::id::JobId;
use pullyard_domain::pull_request::PullRequestState;
use pullyard_store::{Conclusion, Write};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_closed_pull_request_has_the_revision_that_was_first_or_none() {
    let world = Arc::new(World::with_linked().await);
    let came = race(&world, |world, number| async move {
        loop {
            let mut pull_request = world.pull_request().await;
            if pull_request.state == PullRequestState::Closed {
                return Ok("closed");
            }
            let written = if number % 2 == 0 {
                pull_request.state = PullRequestState::Closed;
                world.store.update_pull_request(&pull_request).await?
            } else {
                if world.ticket("APP-1").await.active_job.is_some() {
                    return Ok("busy");
                }
                let revising = Revising::of(&world, "r1").await;
                match revising.pull_request.state {
                    PullRequestState::Open => revising.direct(&world.store).await?,
                    _ => Write::Stale,
                }
            };
            if written == Write::Applied {
                return Ok(["closed", "made"][number % 2]);
            }
        }
    })
    .await;
    let made = count(&tally(&came), "made");
    assert!(made <= 1, "{came:?}");
    let (jobs, ticket, pull_request) = (world.whole().await, world.ticket("APP-1").await, world.pull_request().await);
    assert_eq!((jobs, pull_request.state), (made, PullRequestState::Closed));
    assert_eq!(pull_request.revised.map(|revised| revised.job), ticket.active_job);
    assert_eq!(world.store.reviews(&id()).await.unwrap().len(), made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_review_that_is_covered_never_reads_as_refused() {
    let world = Arc::new(World::with_linked().await);
    world.applies(world.store.remember_review(&waits("r1"), &held("r1"))).await;
    let job = JobId::of_review(&id(), &crate::reviews::review_id("r1"));
    race(&world, |world, number| {
        let job = job.clone();
        async move {
            let end = match number % 2 {
                0 => Conclusion::Covered(job),
                _ => Conclusion::Refused(Reason::PullRequestClosed { pr: "acme/app#7".into(), state: "closed".into() }),
            };
            world.store.conclude(&held("r1").id, &end).await
        }
    })
    .await;
    let entry = world.store.delivery(&held("r1").id).await.unwrap().unwrap();
    assert_eq!(entry.job, Some(job.clone()));
    let covered = [held("r1").reason, Reason::Accepted { job }];
    assert!(covered.contains(&entry.reason), "{entry:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn how_far_a_hook_is_known_is_never_set_back_by_an_older_reading() {
    let world = world().await;
    world.applies(world.store.put_hook(&crate::hooks::hook("acme"))).await;
    let name = crate::hooks::hook("acme").name;
    let came = race(&world, |world, number| {
        let name = name.clone();
        async move {
            loop {
                let mut hook = world.store.hook(&name).await?.expect("it stays");
                match number % 2 {
                    // A look that got further, and a change of what it is.
                    0 if hook.recovery.next >= at(600) => return Ok("known"),
                    0 => hook.recovery.next = at(600),
                    _ if hook.base_url.is_some() => return Ok("known"),
                    _ => hook.base_url = Some("https://pullyard.example".into()),
                }
                if world.store.put_hook(&hook).await? == Write::Applied {
                    return Ok(["looked", "changed"][number % 2]);
                }
            }
        }
    })
    .await;
    let stored = world.store.hook(&name).await.unwrap().unwrap();
    assert_eq!((stored.recovery.next, stored.base_url.is_some(), stored.rev), (at(600), true, 3), "{:?}", tally(&came));
}
