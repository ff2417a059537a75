//! Tests that a job is created with all its items, and how long its request key is valid.

use crate::prelude::*;
use crate::sample;
use crate::world::World;

#[tokio::test]
async fn job_is_created_with_ticket_decision_and_request() {
    let world = World::new().await;
    world.store.update_snapshot(&sample::event("APP-1", "evt-1", at(1), "AI Processing"), None).await.unwrap();
    let (new, ticket) = sample::plan_ticket_job(&world.ticket("APP-1").await, "one");
    let (delivery, request) = (sample::accepted_decision(&new), sample::request("one", at(0)));
    let trigger =
        JobCreation { delivery: Some(&delivery), request: Some(&request), ..ticket_job_trigger(&new, &ticket) };
    world.expect_applied(world.store.create_job(&trigger)).await;

    let job = world.job(&new).await;
    assert_eq!(job, Job { rev: 1, ..new.clone() });
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.rev, ticket.active_job.as_ref()), (2, Some(&job.id)));
    let recorded = world.store.load_delivery(&delivery.id).await.unwrap();
    assert_eq!(recorded.as_ref(), Some(&delivery));
    let stored = world.store.load_request(&request).await.unwrap();
    assert_eq!(stored, Some(("c0ffee".into(), job.id)));
    assert_eq!(world.items().await.len(), 4);
}

async fn create_job_with_key(world: &World, job: &str, key_used_at: Timestamp) -> Write {
    let job = sample::job(job);
    let trigger = JobCreation { request: Some(&sample::request("key", key_used_at)), ..job_trigger(&job) };
    world.store.create_job(&trigger).await.unwrap()
}

/// DynamoDB deletes up to two days late, so an expired item must not block a new one.
#[tokio::test]
async fn request_key_expires_after_a_day() {
    let world = World::new().await;
    assert_eq!(create_job_with_key(&world, "one", at(0)).await, Write::Applied);
    let load = async |request: Request| world.store.load_request::<JobId>(&request).await.unwrap();
    let day = at(24 * 3_600);
    let last = day.minus(Duration::from_secs(1));
    assert!(load(sample::request("key", last)).await.is_some());
    assert_eq!(load(sample::request("key", day)).await, None);
    assert_eq!(load(Request { caller: "token-2".into(), ..sample::request("key", at(1)) }).await, None);
    assert_eq!(create_job_with_key(&world, "two", last).await, Write::Stale);
    assert_eq!(create_job_with_key(&world, "two", day).await, Write::Applied);
    let (_, job) = load(sample::request("key", day)).await.expect("the new request is stored");
    assert_eq!(job, sample::job_id("two"));
}
