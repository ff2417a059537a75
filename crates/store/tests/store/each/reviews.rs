//! Tests every form of a review's write: it gets a job, or waits for a job that lacks it.

use super::forms::{ROOM, count, forms, has_room, number, set, text};
use super::{BUDGET, check};
use crate::reviews::{Revising, entry, held, refused, review, waits, waits_for};
use crate::sample::{self, at};
use crate::world::World;
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::budget::Budget;
use pullyard_domain::decision::Reason;
use pullyard_domain::id::JobId;
use pullyard_domain::review::{Review, ReviewState};
use pullyard_store::{Error, TriggerReview, WaitsForJob, Write};

#[tokio::test]
async fn review_job_creation_is_refused_by_each_changed_item() {
    for [waited, charged] in forms() {
        let prepare = async || {
            let world = World::with_linked().await;
            if waited {
                world.remembers(&["r1"]).await;
            }
            let mut revising = Revising::of(&world, "r1").await;
            revising.job.reserved = BUDGET.reserve(at(0));
            (world, revising)
        };
        let write = async |world: &World, revising: &Revising| revising.make(world, &BUDGET, [waited, charged]).await;
        check(prepare, write, (4 + count(&[!waited, charged]), &[])).await;
    }
}

#[tokio::test]
async fn review_job_ignores_obsolete_items_but_not_review_state() {
    for [waited, charged] in forms() {
        let (begins, other) = if waited { (waits("r1"), "refused") } else { (review("r1", refused()), "deferred") };
        for state in [None, Some(other)] {
            let world = World::with_linked().await;
            world.applies(world.store.take_review(&begins, None)).await;
            let mut revising = Revising::of(&world, "r1").await;
            revising.job.reserved = ROOM.reserve(at(0));
            has_room(&world, (!waited).then_some(&revising.accepted()), &sample::request("one", at(0))).await;
            if let Some(other) = state {
                let is = AttributeValue::M([("is".to_owned(), text(other))].into());
                set(&world, ("PR#", "REVIEW#"), "state", is).await;
                world.refuses(revising.make(&world, &ROOM, [waited, charged])).await;
            } else {
                world.applies(revising.make(&world, &ROOM, [waited, charged])).await;
            }
        }
    }
}

impl Revising {
    async fn make(&self, world: &World, budget: &Budget, [waited, charged]: [bool; 2]) -> Result<Write, Error> {
        let (delivery, charge) = (self.accepted(), budget.charge(&self.job));
        let trigger = TriggerReview {
            delivery: (!waited).then_some(&delivery),
            charge: charge.as_ref().filter(|_| charged),
            ..self.trigger()
        };
        world.store.trigger_review(&trigger).await
    }
}

/// The state of a review before it waits: absent, refused, or started with job `j1`.
#[derive(Clone, Copy, Debug)]
enum Was {
    Unknown,
    Refused,
    Started,
}

impl Was {
    /// Stores the earlier state and returns the waiting review.
    async fn store(self, world: &World) -> Review {
        let (state, version) = match self {
            Self::Unknown => return waits("r1"),
            Self::Refused => (refused(), 1),
            Self::Started => (ReviewState::Started { job: sample::job_id("j1") }, 1),
        };
        world.applies(world.store.take_review(&review("r1", state), None)).await;
        Review { version, ..waits("r1") }
    }

    /// Changes the earlier state. Returns false if there is no change number `at`.
    async fn changes(self, world: &World, at: usize) -> bool {
        let state = |is: &str, job: &str| {
            AttributeValue::M([("is".to_owned(), text(is)), ("job".to_owned(), text(job))].into())
        };
        let review = ("PR#", "REVIEW#");
        match (self, at) {
            (Self::Unknown, 0) => world.applies(world.store.take_review(&waits("r1"), None)).await,
            (Self::Refused, 0) => set(world, review, "state", state("deferred", "")).await,
            (Self::Refused, 1) => set(world, review, "version", number(1)).await,
            (Self::Started, 0) => set(world, review, "state", state("started", "j2")).await,
            _ => return false,
        }
        true
    }
}

#[tokio::test]
async fn waiting_review_is_refused_by_each_changed_item() {
    for was in [Was::Unknown, Was::Refused, Was::Started] {
        for told in [false, true] {
            let had = sample::job_id("j1");
            let prepare = async || {
                let (world, job) = World::with_busy().await;
                world.lose("PR#", "REVIEW#").await;
                let waits = was.store(&world).await;
                (world, job, waits)
            };
            let says_so = held("r1");
            let write = async |world: &World, job: &JobId, waits: &Review| {
                let wait = WaitsForJob {
                    from: matches!(was, Was::Started).then_some(&had),
                    delivery: told.then_some(&says_so),
                    ..waits_for(waits, &says_so, job)
                };
                world.store.wait_for_job(&wait).await
            };
            let (world, job, review) = prepare().await;
            // The ticket has another job, or comes from a release without the map of deferred reviews.
            world.refuses(write(&world, &sample::job_id("another"), &review)).await;
            let ticket = world.item("TICKET#", "TICKET").await;
            let mut old = ticket.clone();
            old.remove("deferred");
            world.client.put_item().table_name(&world.table).set_item(Some(old)).send().await.unwrap();
            world.refuses(write(&world, &job, &review)).await;
            world.client.put_item().table_name(&world.table).set_item(Some(ticket)).send().await.unwrap();
            world.applies(write(&world, &job, &review)).await;
            if told {
                let (world, job, review) = prepare().await;
                let last = Reason::Accepted { job: job.clone() };
                world.applies(world.store.record(&entry("r1", last))).await;
                world.refuses(write(&world, &job, &review)).await;
            }
            for at in 0..2 {
                let (world, job, review) = prepare().await;
                if was.changes(&world, at).await {
                    println!("{was:?}, {told}, {at}");
                    world.refuses(write(&world, &job, &review)).await;
                }
            }
        }
    }
}
