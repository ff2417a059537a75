//! Tests every form of a review's write: it gets a job, or waits for a job that lacks it.

use super::forms::{ROOM, count_set, forms, number, prepare_room, text};
use super::{BUDGET, check};
use crate::prelude::*;
use crate::reviews::{RevisePlan, ledger_entry, refused_state};
use crate::sample;
use crate::world::World;
use pullyard_store::Error;

#[tokio::test]
async fn review_job_creation_is_refused_by_each_changed_item() {
    for [waited, charged] in forms() {
        let prepare = async || {
            let world = World::with_linked().await;
            if waited {
                world.remember_reviews(&["r1"]).await;
            }
            let mut revising = RevisePlan::of(&world, "r1").await;
            revising.job.reserved = BUDGET.reserve(at(0));
            (world, revising)
        };
        let write =
            async |world: &World, revising: &RevisePlan| revising.create_job(world, &BUDGET, [waited, charged]).await;
        check(prepare, write, (4 + count_set(&[!waited, charged, charged]), &[])).await;
    }
}

#[tokio::test]
async fn review_job_ignores_obsolete_items_but_not_review_state() {
    for [waited, charged] in forms() {
        let (begins, other) =
            if waited { (waiting_review("r1"), "refused") } else { (review("r1", refused_state()), "deferred") };
        for state in [None, Some(other)] {
            let world = World::with_linked().await;
            world.expect_applied(world.store.assign_review(&begins, None)).await;
            let mut revising = RevisePlan::of(&world, "r1").await;
            revising.job.reserved = ROOM.reserve(at(0));
            prepare_room(&world, (!waited).then_some(&revising.ledger_entry()), &sample::request("one", at(0))).await;
            if let Some(other) = state {
                let is = AttributeValue::M([("is".to_owned(), text(other))].into());
                world.set_attribute(("PR#", "REVIEW#"), "state", is).await;
                world.expect_refused(revising.create_job(&world, &ROOM, [waited, charged])).await;
            } else {
                world.expect_applied(revising.create_job(&world, &ROOM, [waited, charged])).await;
            }
        }
    }
}

impl RevisePlan {
    async fn create_job(&self, world: &World, budget: &Budget, [waited, charged]: [bool; 2]) -> Result<Write, Error> {
        let (delivery, charge) = (self.ledger_entry(), budget.charge(&self.job));
        let (_, spending) = sample::charge_spending(&self.job);
        let trigger = ReviewTrigger {
            delivery: (!waited).then_some(&delivery),
            charge: charge.as_ref().filter(|_| charged),
            spending: charged.then_some(&spending),
            ..self.trigger()
        };
        world.store.create_review_job(&trigger).await
    }
}

/// The state of a review before it waits: absent, refused, or started with job `j1`.
#[derive(Clone, Copy, Debug)]
enum EarlierState {
    Unknown,
    Refused,
    Started,
}

impl EarlierState {
    async fn store(self, world: &World) -> Review {
        let (state, version) = match self {
            Self::Unknown => return waiting_review("r1"),
            Self::Refused => (refused_state(), 1),
            Self::Started => (ReviewState::Started { job: sample::job_id("j1") }, 1),
        };
        world.expect_applied(world.store.assign_review(&review("r1", state), None)).await;
        Review { version, ..waiting_review("r1") }
    }

    /// Changes the earlier state. Returns false if there is no change number `at`.
    async fn change(self, world: &World, at: usize) -> bool {
        let state = |is: &str, job: &str| {
            AttributeValue::M([("is".to_owned(), text(is)), ("job".to_owned(), text(job))].into())
        };
        let review = ("PR#", "REVIEW#");
        match (self, at) {
            (Self::Unknown, 0) => world.expect_applied(world.store.assign_review(&waiting_review("r1"), None)).await,
            (Self::Refused, 0) => world.set_attribute(review, "state", state("deferred", "")).await,
            (Self::Refused, 1) => world.set_attribute(review, "version", number(1)).await,
            (Self::Started, 0) => world.set_attribute(review, "state", state("started", "j2")).await,
            _ => return false,
        }
        true
    }
}

#[tokio::test]
async fn waiting_review_is_refused_by_each_changed_item() {
    for was in [EarlierState::Unknown, EarlierState::Refused, EarlierState::Started] {
        for with_delivery in [false, true] {
            let had = sample::job_id("j1");
            let prepare = async || {
                let (world, job) = World::with_running_job().await;
                world.delete_item("PR#", "REVIEW#").await;
                let waits = was.store(&world).await;
                (world, job, waits)
            };
            let says_so = held_entry("r1");
            let write = async |world: &World, job: &JobId, waits: &Review| {
                let wait = ReviewWait {
                    from: matches!(was, EarlierState::Started).then_some(&had),
                    delivery: with_delivery.then_some(&says_so),
                    ..wait_request(waits, &says_so, job)
                };
                world.store.wait_for_job(&wait).await
            };
            let (world, job, review) = prepare().await;
            // The ticket has another job, or comes from a release without the map of deferred reviews.
            world.expect_refused(write(&world, &sample::job_id("another"), &review)).await;
            let ticket = world.item("TICKET#", "TICKET").await;
            let mut old = ticket.clone();
            old.remove("deferred");
            world.put_item(old).await;
            world.expect_refused(write(&world, &job, &review)).await;
            world.put_item(ticket).await;
            world.expect_applied(write(&world, &job, &review)).await;
            if with_delivery {
                let (world, job, review) = prepare().await;
                let last = Reason::Accepted { job: job.clone() };
                world.expect_applied(world.store.record_delivery(&ledger_entry("r1", last))).await;
                world.expect_refused(write(&world, &job, &review)).await;
            }
            for at in 0..2 {
                let (world, job, review) = prepare().await;
                if was.change(&world, at).await {
                    println!("{was:?}, {with_delivery}, {at}");
                    world.expect_refused(write(&world, &job, &review)).await;
                }
            }
        }
    }
}
