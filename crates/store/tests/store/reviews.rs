//! Tests each write of waiting reviews and its conditions.
//!
//! This file covers remembering and starting. `taken` covers reviews of another job, `edited` the edit mark, and
//! `settled` reviews without a job of their own.

mod edited;
mod settled;
mod taken;

use crate::sample::{self, at};
use crate::world::World;
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::{Delivery, ReviewSubject, Source};
use pullyard_domain::id::{DeliveryId, JobId, ReviewId};
use pullyard_domain::job::{Job, JobPlan, RevisionPlan, plan_revision};
use pullyard_domain::project::Settings;
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::review::{Author, Review, ReviewState};
use pullyard_domain::ticket::Ticket;
use pullyard_store::{Conclusion, Error, Store, TriggerReview, WaitsForJob, Write};
use pullyard_testkit::Fault;
use std::collections::BTreeSet;

pub(crate) fn review_id(name: &str) -> ReviewId {
    ReviewId::new(name).unwrap()
}

pub(crate) fn linked() -> PullRequest {
    PullRequest { job: None, ticket: Some(sample::ticket_key("APP-1")), ..sample::pull_request(&sample::job("one"), 7) }
}

pub(crate) fn id() -> PullRequestId {
    linked().id
}

pub(crate) fn review(name: &str, state: ReviewState) -> Review {
    Review {
        pull_request: id(),
        id: review_id(name),
        project: sample::project(),
        ticket: sample::ticket_key("APP-1"),
        author: Author { id: u64::MAX, login: "ann".into(), bot: false },
        submitted_at: at(10),
        request: None,
        at: at(20),
        state,
        version: 0,
        edited: false,
        had: None,
    }
}

pub(crate) fn waits(name: &str) -> Review {
    review(name, ReviewState::Deferred {})
}

pub(crate) fn absorbed(into: &str) -> ReviewState {
    ReviewState::Absorbed { into: review_id(into) }
}

pub(crate) fn refused() -> ReviewState {
    ReviewState::Refused { reason: reason(), at: at(30) }
}

fn reason() -> Reason {
    Reason::PullRequestClosed { pr: "acme/app#7".into(), state: "closed".into() }
}

pub(crate) fn entry(name: &str, reason: Reason) -> Delivery {
    Delivery {
        id: DeliveryId::for_review(&sample::project(), &id(), &review_id(name)),
        source: Source::Webhook,
        reason,
        review: Some(ReviewSubject {
            pull_request: id(),
            label: "acme/app#7".into(),
            url: linked().url,
            review: Some(review_id(name)),
            author: "ann".into(),
            facts: None,
        }),
        ..sample::refused("evt-1", at(20))
    }
}

pub(crate) fn held(name: &str) -> Delivery {
    entry(name, Reason::HeldForJob { job: sample::job_id("j0") })
}

/// Remembers a review over the current ticket.
pub(crate) async fn remember(store: &Store, review: &Review, delivery: &Delivery) -> Result<Write, Error> {
    let ticket = store.ticket(&review.project, &review.ticket).await?.expect("the ticket is stored");
    store.remember_review(review, delivery, &ticket.schedule_review(&review.pull_request, at(500))).await
}

/// A refused review that waits for this job again.
pub(crate) fn waits_for<'a>(review: &'a Review, delivery: &'a Delivery, job: &'a JobId) -> WaitsForJob<'a> {
    WaitsForJob { review, from: None, delivery: Some(delivery), job, opens_at: at(500) }
}

/// A revise job for this review, with its ticket and pull request.
pub(crate) struct Revising {
    pub(crate) job: Job,
    pub(crate) ticket: Ticket,
    pub(crate) pull_request: PullRequest,
    pub(crate) review: Review,
}

impl Revising {
    pub(crate) async fn of(world: &World, name: &str) -> Self {
        let (ticket, linked) = (world.ticket("APP-1").await, world.pull_request().await);
        let job = JobId::for_review(&linked.id, &review_id(name));
        let plan = JobPlan {
            id: job.clone(),
            project: &sample::project(),
            settings: &Settings::default(),
            repository: &sample::repository(99, "acme/app"),
            context: String::new(),
            labels: &BTreeSet::new(),
            now: at(100),
        };
        let revision = RevisionPlan { review: &review_id(name), head: None };
        let (job_made, ticket, pull_request) = plan_revision(&plan, &ticket, &linked, revision);
        let review = review(name, ReviewState::Started { job });
        Self { job: job_made, ticket, pull_request, review }
    }

    /// Starts the job for a new delivery.
    pub(crate) async fn direct(&self, store: &Store) -> Result<Write, Error> {
        let delivery = self.accepted();
        store.trigger_review(&TriggerReview { delivery: Some(&delivery), ..self.trigger() }).await
    }

    /// The ledger entry of the review with its job.
    pub(crate) fn accepted(&self) -> Delivery {
        let reason = Reason::Accepted { job: self.job.id.clone() };
        Delivery { job: Some(self.job.id.clone()), ..entry(self.review.id.as_str(), reason) }
    }

    /// Starts the job of a waiting review.
    pub(crate) async fn settled(&self, store: &Store) -> Result<Write, Error> {
        store.trigger_review(&self.trigger()).await
    }

    pub(crate) fn trigger(&self) -> TriggerReview<'_> {
        TriggerReview {
            job: &self.job,
            ticket: &self.ticket,
            pull_request: &self.pull_request,
            review: &self.review,
            delivery: None,
            charge: None,
        }
    }
}

impl World {
    /// A ticket with a linked pull request.
    pub(crate) async fn with_linked() -> Self {
        let world = Self::new().await;
        world.applies(world.store.link_pull_request(&linked(), &sample::ticket("APP-1"))).await;
        world
    }

    /// Like `with_linked`, with a running job of the ticket.
    pub(crate) async fn with_busy() -> (Self, JobId) {
        let world = Self::with_linked().await;
        let job = Revising::of(&world, "r0").await;
        world.applies(job.direct(&world.store)).await;
        (world, job.job.id)
    }

    pub(crate) async fn pull_request(&self) -> PullRequest {
        self.store.pull_request(&id()).await.unwrap().expect("the pull request is stored")
    }

    pub(crate) async fn state(&self, name: &str) -> ReviewState {
        self.store.review(&id(), &review_id(name)).await.unwrap().expect("the review is stored").state
    }

    pub(crate) async fn remembers(&self, names: &[&str]) {
        for name in names {
            self.applies(remember(&self.store, &waits(name), &held(name))).await;
        }
    }

    async fn entry(&self, name: &str) -> Delivery {
        let id = DeliveryId::for_review(&sample::project(), &id(), &review_id(name));
        self.store.delivery(&id).await.unwrap().expect("the ledger entry is stored")
    }
}

fn older(names: &[&str]) -> Vec<ReviewId> {
    names.iter().map(|name| review_id(name)).collect()
}

#[tokio::test]
async fn review_is_remembered_once_with_its_entry() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    assert_eq!((world.state("r1").await, world.entry("r1").await), (ReviewState::Deferred {}, held("r1")));
    assert_eq!(world.ticket("APP-1").await.deferred[&id().to_string()], at(500));
    world.refuses(remember(&world.store, &waits("r1"), &held("r1"))).await;
}

#[tokio::test]
async fn refused_review_is_remembered_when_redelivered() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    world.applies(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
    world.applies(world.store.refuse_review(&waits("r1"), &refused())).await;
    world.refuses(remember(&world.store, &waits("r1"), &held("r1"))).await;
    let anew = Review { version: 1, ..waits("r1") };
    world.applies(remember(&world.store, &anew, &held("r1"))).await;
    assert_eq!((world.state("r1").await, world.entry("r1").await), (ReviewState::Deferred {}, held("r1")));
    // A writer that read the review earlier is stale.
    world.refuses(world.store.refuse_review(&waits("r1"), &refused())).await;
    world.remembers(&["r2"]).await;
    world.refuses(world.store.refuse_with(&waits("r2"), &[&waits("r1")], &refused())).await;
    world.applies(world.store.refuse_with(&waits("r2"), &[&anew], &refused())).await;
}

/// Asserts that neither a redelivered review nor a job's take replaces these stored versions.
async fn check_not_told_again(stored: &[Review]) {
    let world = World::with_linked().await;
    for review in stored {
        world.applies(world.store.take_review(review, None)).await;
    }
    let again = Review { version: 1, ..waits("r1") };
    world.refuses(remember(&world.store, &again, &held("r1"))).await;
    world.refuses(world.store.take_review(&again, None)).await;
}

#[tokio::test]
async fn redelivery_is_stored_only_over_the_refusal_read() {
    let started = ReviewState::Started { job: sample::job_id("j1") };
    check_not_told_again(&[waits("r1")]).await;
    check_not_told_again(&[review("r1", started)]).await;
    let later = Review { version: 1, ..review("r1", refused()) };
    check_not_told_again(&[review("r1", refused()), later]).await;
}

#[tokio::test]
async fn review_gets_its_job_once_with_all_items() {
    let world = World::with_linked().await;
    let revising = Revising::of(&world, "r1").await;
    world.faults.next("TransactWriteItems", Fault::LostAnswer);
    world.applies(revising.direct(&world.store)).await;
    let job = revising.job.id.clone();
    assert_eq!(world.state("r1").await, ReviewState::Started { job: job.clone() });
    assert_eq!(world.ticket("APP-1").await.active_job, Some(job.clone()));
    assert_eq!(world.pull_request().await.revised.map(|revised| revised.job), Some(job.clone()));
    assert_eq!(world.entry("r1").await.job, Some(job));
    world.refuses(revising.direct(&world.store)).await;
    world.refuses(Revising::of(&world, "r1").await.direct(&world.store)).await;
}

#[tokio::test]
async fn unreadable_pull_request_does_not_hide_the_others() {
    let world = World::with_linked().await;
    let other = PullRequest { id: PullRequestId { number: 8, ..id() }, ..linked() };
    world.applies(world.store.update_pull_request(&other)).await;
    let ids = BTreeSet::from([id(), other.id.clone(), PullRequestId { number: 9, ..id() }]);
    let read = world.store.pull_requests(&ids).await.unwrap();
    let known: BTreeSet<_> = read.into_iter().map(|linked| linked.unwrap().id).collect();
    assert_eq!(known, BTreeSet::from([id(), other.id.clone()]), "the third pull request was never linked");
    let mut item = world.items().await.into_iter().find(|((pk, sk), _)| pk.ends_with("#8") && sk == "PR").unwrap().1;
    item.remove("url");
    world.client.put_item().table_name(&world.table).set_item(Some(item)).send().await.unwrap();
    let read = world.store.pull_requests(&ids).await.unwrap();
    assert_eq!((read.len(), read.iter().filter(|linked| linked.is_ok()).count()), (2, 1), "{read:?}");
}
