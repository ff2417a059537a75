//! Tests each write of waiting reviews and its conditions.
//!
//! This file covers remembering and starting. `moved_reviews` covers reviews of another job, `without_job` reviews
//! without a job of their own.

mod moved_reviews;
mod without_job;

use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_domain::job::Priority;
use pullyard_domain::kinds::{JobPlan, RevisionPlan, plan_revision};
use pullyard_domain::project::Settings;
use pullyard_domain::review::Author;
use pullyard_domain::review::delivery::{ReviewSubject, Source};
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::text::id::{DeliveryId, ReviewId};
use pullyard_store::Error;

pub(crate) fn review_id(name: &str) -> ReviewId {
    ReviewId::new(name).unwrap()
}

pub(crate) fn linked_pull_request() -> PullRequest {
    PullRequest { job: None, ticket: Some(sample::ticket_key("APP-1")), ..sample::pull_request(&sample::job("one"), 7) }
}

pub(crate) fn pull_request_id() -> PullRequestId {
    linked_pull_request().id
}

pub(crate) fn review(name: &str, state: ReviewState) -> Review {
    Review {
        pull_request: pull_request_id(),
        id: review_id(name),
        project: sample::project(),
        ticket: sample::ticket_key("APP-1"),
        author: Author { id: u64::MAX, login: "ann".into(), bot: false },
        submitted_at: at(10),
        request: None,
        at: at(20),
        state,
        version: 0,
        had: None,
    }
}

pub(crate) fn waiting_review(name: &str) -> Review {
    review(name, ReviewState::Deferred {})
}

pub(crate) fn absorbed_state(into: &str) -> ReviewState {
    ReviewState::Absorbed { into: review_id(into) }
}

pub(crate) fn refused_state() -> ReviewState {
    ReviewState::Refused { reason: closed_reason(), at: at(30) }
}

fn closed_reason() -> Reason {
    Reason::PullRequestClosed { pr: "acme/app#7".into(), state: "closed".into() }
}

pub(crate) fn ledger_entry(name: &str, reason: Reason) -> Delivery {
    Delivery {
        id: DeliveryId::for_review(&sample::project(), &pull_request_id(), &review_id(name)),
        source: Source::Webhook,
        reason,
        review: Some(ReviewSubject {
            pull_request: pull_request_id(),
            label: "acme/app#7".into(),
            url: linked_pull_request().url,
            review: Some(review_id(name)),
            author: "ann".into(),
            facts: None,
        }),
        ..sample::refused_decision("evt-1", at(20))
    }
}

pub(crate) fn held_entry(name: &str) -> Delivery {
    ledger_entry(name, Reason::HeldForJob { job: sample::job_id("j0") })
}

pub(crate) async fn remember(store: &Store, review: &Review, delivery: &Delivery) -> Result<Write, Error> {
    let ticket = store.load_ticket(&review.project, &review.ticket).await?.expect("the ticket is stored");
    store.create_deferred_review(review, delivery, &ticket.schedule_review(&review.pull_request, at(500))).await
}

pub(crate) fn wait_request<'a>(review: &'a Review, delivery: &'a Delivery, job: &'a JobId) -> ReviewWait<'a> {
    ReviewWait { review, from: None, delivery: Some(delivery), job, opens_at: at(500) }
}

pub(crate) struct RevisePlan {
    pub(crate) job: Job,
    pub(crate) ticket: Ticket,
    pub(crate) pull_request: PullRequest,
    pub(crate) review: Review,
}

impl RevisePlan {
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
            priority: Priority::Normal,
            now: at(100),
        };
        let revision = RevisionPlan { review: &review_id(name), head: None };
        let (job_made, ticket, pull_request) = plan_revision(&plan, &ticket, &linked, revision);
        let review = review(name, ReviewState::Started { job });
        Self { job: job_made, ticket, pull_request, review }
    }

    pub(crate) async fn start_new(&self, store: &Store) -> Result<Write, Error> {
        let delivery = self.ledger_entry();
        store.create_review_job(&ReviewTrigger { delivery: Some(&delivery), ..self.trigger() }).await
    }

    pub(crate) fn ledger_entry(&self) -> Delivery {
        let reason = Reason::Accepted { job: self.job.id.clone() };
        Delivery { job: Some(self.job.id.clone()), ..ledger_entry(self.review.id.as_str(), reason) }
    }

    pub(crate) async fn start_waiting(&self, store: &Store) -> Result<Write, Error> {
        store.create_review_job(&self.trigger()).await
    }

    pub(crate) fn trigger(&self) -> ReviewTrigger<'_> {
        ReviewTrigger {
            job: &self.job,
            ticket: &self.ticket,
            pull_request: &self.pull_request,
            review: &self.review,
            delivery: None,
            charge: None,
            spending: None,
        }
    }
}

impl World {
    pub(crate) async fn with_linked() -> Self {
        let world = Self::new().await;
        world.expect_applied(world.store.link_pull_request(&linked_pull_request(), &sample::ticket("APP-1"))).await;
        world
    }

    pub(crate) async fn with_running_job() -> (Self, JobId) {
        let world = Self::with_linked().await;
        let job = RevisePlan::of(&world, "r0").await;
        world.expect_applied(job.start_new(&world.store)).await;
        (world, job.job.id)
    }

    pub(crate) async fn pull_request(&self) -> PullRequest {
        self.store.load_pull_request(&pull_request_id()).await.unwrap().expect("the pull request is stored")
    }

    pub(crate) async fn review_state(&self, name: &str) -> ReviewState {
        self.store.load_review(&pull_request_id(), &review_id(name)).await.unwrap().expect("the review is stored").state
    }

    pub(crate) async fn remember_reviews(&self, names: &[&str]) {
        for name in names {
            self.expect_applied(remember(&self.store, &waiting_review(name), &held_entry(name))).await;
        }
    }

    async fn entry(&self, name: &str) -> Delivery {
        let id = DeliveryId::for_review(&sample::project(), &pull_request_id(), &review_id(name));
        self.store.load_delivery(&id).await.unwrap().expect("the ledger entry is stored")
    }
}

impl World {
    async fn absorb(&self, newest: &str, older: &[&str]) -> Result<Write, Error> {
        self.store.absorb_reviews(&pull_request_id(), &review_id(newest), &review_ids(older)).await
    }

    pub(crate) async fn refuse_absorbed(&self, newest: &Review, older: &[&str]) -> Result<Write, Error> {
        let older: Vec<_> = older.iter().map(|name| waiting_review(name)).collect();
        self.store.refuse_absorbed_reviews(newest, &older.iter().collect::<Vec<_>>(), &refused_state()).await
    }

    async fn conclude(&self, review: &str, conclusion: Conclusion) -> Result<Write, Error> {
        self.store.conclude_review(&held_entry(review).id, &conclusion).await
    }
}

fn review_ids(names: &[&str]) -> Vec<ReviewId> {
    names.iter().map(|name| review_id(name)).collect()
}

#[tokio::test]
async fn review_is_remembered_once_with_its_entry() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1"]).await;
    assert_eq!((world.review_state("r1").await, world.entry("r1").await), (ReviewState::Deferred {}, held_entry("r1")));
    assert_eq!(world.ticket("APP-1").await.deferred[&pull_request_id().to_string()], at(500));
    world.expect_refused(remember(&world.store, &waiting_review("r1"), &held_entry("r1"))).await;
}

#[tokio::test]
async fn refused_review_is_remembered_when_redelivered() {
    let world = World::with_linked().await;
    world.remember_reviews(&["r1"]).await;
    world.expect_applied(world.conclude("r1", Conclusion::Refused(closed_reason()))).await;
    world.expect_applied(world.store.refuse_review(&waiting_review("r1"), &refused_state())).await;
    world.expect_refused(remember(&world.store, &waiting_review("r1"), &held_entry("r1"))).await;
    let second = Review { version: 1, ..waiting_review("r1") };
    world.expect_applied(remember(&world.store, &second, &held_entry("r1"))).await;
    assert_eq!((world.review_state("r1").await, world.entry("r1").await), (ReviewState::Deferred {}, held_entry("r1")));
    // A writer that read the review earlier is stale.
    world.expect_refused(world.store.refuse_review(&waiting_review("r1"), &refused_state())).await;
    world.remember_reviews(&["r2"]).await;
    world.expect_refused(world.refuse_absorbed(&waiting_review("r2"), &["r1"])).await;
    world
        .expect_applied(world.store.refuse_absorbed_reviews(&waiting_review("r2"), &[&second], &refused_state()))
        .await;
}

/// Asserts that neither a redelivered review nor a job's take replaces these stored versions.
async fn check_redelivery_refused(stored: &[Review]) {
    let world = World::with_linked().await;
    for review in stored {
        world.expect_applied(world.store.assign_review(review, None)).await;
    }
    let again = Review { version: 1, ..waiting_review("r1") };
    world.expect_refused(remember(&world.store, &again, &held_entry("r1"))).await;
    world.expect_refused(world.store.assign_review(&again, None)).await;
}

#[tokio::test]
async fn redelivery_is_stored_only_over_the_refusal_read() {
    let started = ReviewState::Started { job: sample::job_id("j1") };
    check_redelivery_refused(&[waiting_review("r1")]).await;
    check_redelivery_refused(&[review("r1", started)]).await;
    let later = Review { version: 1, ..review("r1", refused_state()) };
    check_redelivery_refused(&[review("r1", refused_state()), later]).await;
}

#[tokio::test]
async fn review_gets_its_job_once_with_all_items() {
    let world = World::with_linked().await;
    let revising = RevisePlan::of(&world, "r1").await;
    world.faults.fail_next("TransactWriteItems", Fault::LostAnswer);
    world.expect_applied(revising.start_new(&world.store)).await;
    let job = revising.job.id.clone();
    assert_eq!(world.review_state("r1").await, ReviewState::Started { job: job.clone() });
    assert_eq!(world.ticket("APP-1").await.active_job, Some(job.clone()));
    assert_eq!(world.pull_request().await.revised.map(|revised| revised.job), Some(job.clone()));
    assert_eq!(world.entry("r1").await.job, Some(job));
    world.expect_refused(revising.start_new(&world.store)).await;
    world.expect_refused(RevisePlan::of(&world, "r1").await.start_new(&world.store)).await;
}

#[tokio::test]
async fn unreadable_pull_request_does_not_hide_the_others() {
    let world = World::with_linked().await;
    let other = PullRequest { id: PullRequestId { number: 8, ..pull_request_id() }, ..linked_pull_request() };
    world.expect_applied(world.store.update_pull_request(&other)).await;
    let ids = BTreeSet::from([pull_request_id(), other.id.clone(), PullRequestId { number: 9, ..pull_request_id() }]);
    let read = world.store.load_pull_requests(&ids).await.unwrap();
    let known: BTreeSet<_> = read.into_iter().map(|linked| linked.unwrap().id).collect();
    assert_eq!(known, BTreeSet::from([pull_request_id(), other.id.clone()]), "the third pull request was never linked");
    let mut item = world.items().await.into_iter().find(|((pk, sk), _)| pk.ends_with("#8") && sk == "PR").unwrap().1;
    item.remove("url");
    world.put_item(item).await;
    let read = world.store.load_pull_requests(&ids).await.unwrap();
    assert_eq!((read.len(), read.iter().filter(|linked| linked.is_ok()).count()), (2, 1), "{read:?}");
}

#[tokio::test]
async fn redelivered_review_replaces_the_stored_one() {
    let world = World::with_linked().await;
    let request = Some(pullyard_domain::review::RevisionRequest { message: Some("Again.".into()) });
    let had = Some(sample::job_id("j0"));
    world
        .expect_applied(world.store.assign_review(&Review { request, had, ..review("r1", refused_state()) }, None))
        .await;
    let again = Review { version: 1, at: at(900), ..waiting_review("r1") };
    world.expect_applied(world.store.assign_review(&again, None)).await;
    assert_eq!(world.store.list_reviews(&pull_request_id()).await.unwrap(), vec![again]);
}
