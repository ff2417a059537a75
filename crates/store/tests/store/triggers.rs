//! Tests that a job is created with all its items or not at all.

use crate::reviews::Revising;
use crate::sample::{self, at};
use crate::world::{World, alone, of_ticket};
use pullyard_domain::delivery::Delivery;
use pullyard_domain::job::Job;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::time::Timestamp;
use pullyard_store::{Request, Trigger, Write};

struct Whole {
    job: Job,
    ticket: Ticket,
    delivery: Delivery,
    request: Request,
}

impl Whole {
    /// A trigger for this ticket as read. All its other items are new.
    fn over(ticket: &Ticket, name: &str) -> Self {
        let (job, ticket) = sample::planned(ticket, name);
        Self { delivery: sample::accepted(&job), request: sample::request(name, at(0)), job, ticket }
    }

    fn trigger(&self) -> Trigger<'_> {
        Trigger {
            job: &self.job,
            ticket: Some(&self.ticket),
            delivery: Some(&self.delivery),
            pull_request: None,
            charge: None,
            request: Some(&self.request),
        }
    }
}

async fn seen(world: &World, key: &str, id: &str, when: u64) -> Ticket {
    let event = sample::event(key, id, at(when), "AI Processing");
    world.store.snapshot(&event).await.unwrap();
    world.ticket(key).await
}

/// Asserts that a trigger is refused after `spoil` changed one of its items.
async fn check_refused(spoil: impl AsyncFnOnce(&World, &Whole)) {
    let world = World::new().await;
    let ticket = seen(&world, "APP-1", "evt-1", 1).await;
    let whole = Whole::over(&ticket, "one");
    spoil(&world, &whole).await;
    world.refuses(world.store.trigger(&whole.trigger())).await;
}

#[tokio::test]
async fn job_is_created_with_ticket_decision_and_request() {
    let world = World::new().await;
    let ticket = seen(&world, "APP-1", "evt-1", 1).await;
    let whole = Whole::over(&ticket, "one");
    world.applies(world.store.trigger(&whole.trigger())).await;

    let job = world.job(&whole.job).await;
    assert_eq!(job, Job { rev: 1, ..whole.job.clone() });
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.rev, ticket.active_job.as_ref()), (2, Some(&job.id)));
    let delivery = world.store.delivery(&whole.delivery.id).await.unwrap();
    assert_eq!(delivery, Some(whole.delivery));
    let request = world.store.request("token-1", &whole.request.key, at(1)).await.unwrap();
    assert_eq!(request, Some(("c0ffee".into(), job.id)));
    assert_eq!(world.items().await.len(), 4);
}

#[tokio::test]
async fn job_without_ticket_is_one_item() {
    let world = World::new().await;
    world.applies(world.store.trigger(&alone(&sample::job("one")))).await;
    assert_eq!(world.items().await.len(), 1);
}

#[tokio::test]
async fn job_creates_an_unseen_ticket() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.rev, ticket.active_job), (1, Some(job.id)));
}

#[tokio::test]
async fn repeated_trigger_is_refused() {
    check_refused(async |world, whole| world.applies(world.store.trigger(&whole.trigger())).await).await;
}

#[tokio::test]
async fn trigger_of_an_existing_job_is_refused() {
    check_refused(async |world, whole| world.applies(world.store.trigger(&alone(&whole.job))).await).await;
}

#[tokio::test]
async fn trigger_over_a_stale_ticket_is_refused() {
    check_refused(async |world, _| {
        seen(world, "APP-1", "evt-2", 2).await;
    })
    .await;
}

#[tokio::test]
async fn trigger_over_a_missing_ticket_is_refused() {
    check_refused(async |world, _| world.lose("TICKET#", "TICKET").await).await;
}

#[tokio::test]
async fn trigger_over_a_stale_pull_request_is_refused() {
    let world = World::with_linked().await;
    let older = Revising::of(&world, "r1").await;
    world.applies(world.store.update_pull_request(&world.pull_request().await)).await;
    let newer = Revising::of(&world, "r1").await;
    let over = async |Revising { job, ticket, pull_request, .. }: &Revising| {
        let trigger = Trigger { pull_request: Some(pull_request), ..of_ticket(job, ticket) };
        world.store.trigger(&trigger).await
    };
    world.refuses(over(&older)).await;
    world.applies(over(&newer)).await;
    assert_eq!(world.pull_request().await.revised.map(|revised| revised.job), Some(newer.job.id));
}

#[tokio::test]
async fn trigger_for_a_ticket_seen_in_between_is_refused() {
    let world = World::new().await;
    let whole = Whole::over(&sample::ticket("APP-1"), "one");
    seen(&world, "APP-1", "evt-1", 1).await;
    world.refuses(world.store.trigger(&whole.trigger())).await;
}

#[tokio::test]
async fn trigger_with_a_final_decision_is_refused() {
    check_refused(async |world, whole| world.applies(world.store.record(&whole.delivery)).await).await;
}

#[tokio::test]
async fn trigger_with_a_used_request_key_is_refused() {
    check_refused(async |world, whole| {
        let other = sample::job("other");
        let trigger = Trigger { request: Some(&whole.request), ..alone(&other) };
        world.applies(world.store.trigger(&trigger)).await;
    })
    .await;
}

#[tokio::test]
async fn trigger_replaces_a_non_final_refusal() {
    let world = World::new().await;
    let whole = Whole::over(&sample::ticket("APP-1"), "one");
    let earlier = sample::refused(whole.delivery.event.as_str(), at(0));
    assert_eq!(earlier.id, whole.delivery.id);
    world.applies(world.store.record(&earlier)).await;
    world.applies(world.store.trigger(&whole.trigger())).await;
    let stored = world.store.delivery(&earlier.id).await.unwrap();
    assert_eq!(stored, Some(whole.delivery));
}

#[tokio::test]
async fn second_job_needs_the_end_of_the_first() {
    let world = World::new().await;
    let before = world.ticket_of_running_job().await;
    let (second, ticket) = sample::planned(&before, "second");
    let ending = world.completing(&world.job_of(&before).await).await;
    world.applies(world.store.end(&ending.ended())).await;
    world.refuses(world.store.trigger(&of_ticket(&second, &ticket))).await;

    let (second, ticket) = sample::planned(&world.ticket("APP-1").await, "second");
    world.applies(world.store.trigger(&of_ticket(&second, &ticket))).await;
    assert_eq!(world.ticket("APP-1").await.active_job, Some(second.id));
}

impl World {
    async fn ticket_of_running_job(&self) -> Ticket {
        self.running("APP-1", pullyard_domain::job::JobStatus::Syncing).await;
        self.ticket("APP-1").await
    }

    async fn job_of(&self, ticket: &Ticket) -> Job {
        let job = ticket.active_job.as_ref().expect("an active job");
        self.store.job(job).await.unwrap().expect("the job is stored")
    }
}

fn a_day_after(at: Timestamp) -> Timestamp {
    at.plus(std::time::Duration::from_secs(24 * 3_600))
}

async fn keyed(world: &World, job: &str, key_used_at: Timestamp) -> Write {
    let job = sample::job(job);
    let trigger = Trigger { request: Some(&sample::request("key", key_used_at)), ..alone(&job) };
    world.store.trigger(&trigger).await.unwrap()
}

#[tokio::test]
async fn request_key_expires_after_a_day() {
    let world = World::new().await;
    assert_eq!(keyed(&world, "one", at(0)).await, Write::Applied);
    let key = sample::event_id("key");
    let last = a_day_after(at(0)).minus(std::time::Duration::from_secs(1));
    assert!(world.store.request("token-1", &key, last).await.unwrap().is_some());
    assert_eq!(world.store.request("token-1", &key, a_day_after(at(0))).await.unwrap(), None);
    assert_eq!(world.store.request("token-2", &key, at(1)).await.unwrap(), None);
}

/// DynamoDB deletes up to two days late, so an expired item must not block a new one.
#[tokio::test]
async fn expired_request_key_can_be_used_again() {
    let world = World::new().await;
    assert_eq!(keyed(&world, "one", at(0)).await, Write::Applied);
    let day = a_day_after(at(0));
    let last = day.minus(std::time::Duration::from_secs(1));
    assert_eq!(keyed(&world, "two", last).await, Write::Stale);
    assert_eq!(keyed(&world, "two", day).await, Write::Applied);
    let key = sample::event_id("key");
    let (_, job) = world.store.request("token-1", &key, day).await.unwrap().expect("the new request is stored");
    assert_eq!(job, sample::job_id("two"));
}
