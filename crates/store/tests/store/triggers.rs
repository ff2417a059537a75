//! Tests that a job is created with all its items, and how long its request key is valid.

use crate::sample::{self, at};
use crate::world::{World, alone, of_ticket};
use pullyard_domain::job::Job;
use pullyard_domain::time::Timestamp;
use pullyard_store::{Trigger, Write};
use std::time::Duration;

#[tokio::test]
async fn job_is_created_with_ticket_decision_and_request() {
    let world = World::new().await;
    world.store.snapshot(&sample::event("APP-1", "evt-1", at(1), "AI Processing")).await.unwrap();
    let (new, ticket) = sample::planned(&world.ticket("APP-1").await, "one");
    let (delivery, request) = (sample::accepted(&new), sample::request("one", at(0)));
    let trigger = Trigger { delivery: Some(&delivery), request: Some(&request), ..of_ticket(&new, &ticket) };
    world.applies(world.store.trigger(&trigger)).await;

    let job = world.job(&new).await;
    assert_eq!(job, Job { rev: 1, ..new.clone() });
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.rev, ticket.active_job.as_ref()), (2, Some(&job.id)));
    let recorded = world.store.delivery(&delivery.id).await.unwrap();
    assert_eq!(recorded.as_ref(), Some(&delivery));
    let stored = world.store.request("token-1", &request.key, at(1)).await.unwrap();
    assert_eq!(stored, Some(("c0ffee".into(), job.id)));
    assert_eq!(world.items().await.len(), 4);
}

async fn keyed(world: &World, job: &str, key_used_at: Timestamp) -> Write {
    let job = sample::job(job);
    let trigger = Trigger { request: Some(&sample::request("key", key_used_at)), ..alone(&job) };
    world.store.trigger(&trigger).await.unwrap()
}

/// DynamoDB deletes up to two days late, so an expired item must not block a new one.
#[tokio::test]
async fn request_key_expires_after_a_day() {
    let world = World::new().await;
    assert_eq!(keyed(&world, "one", at(0)).await, Write::Applied);
    let (key, day) = (sample::event_id("key"), at(24 * 3_600));
    let last = day.minus(Duration::from_secs(1));
    assert!(world.store.request("token-1", &key, last).await.unwrap().is_some());
    assert_eq!(world.store.request("token-1", &key, day).await.unwrap(), None);
    assert_eq!(world.store.request("token-2", &key, at(1)).await.unwrap(), None);
    assert_eq!(keyed(&world, "two", last).await, Write::Stale);
    assert_eq!(keyed(&world, "two", day).await, Write::Applied);
    let (_, job) = world.store.request("token-1", &key, day).await.unwrap().expect("the new request is stored");
    assert_eq!(job, sample::job_id("two"));
}
