//! Each write about reviews that wait: applied, stale, missing, repeated, with its answer lost.

use crate::sample::{self, at};
use crate::world::World;
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::{Delivery, ReviewSubject, Source};
use pullyard_domain::id::{DeliveryId, JobId, ReviewId};
use pullyard_domain::job::{Job, Plan, Revision, plan_revision};
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
        id: DeliveryId::of_review(&sample::project(), &id(), &review_id(name)),
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

/// A revise job for this review, the ticket that has it and the pull request.
pub(crate) struct Revising {
    pub(crate) job: Job,
    pub(crate) ticket: Ticket,
    pub(crate) pull_request: PullRequest,
    pub(crate) review: Review,
}

impl Revising {
    pub(crate) async fn of(world: &World, name: &str) -> Self {
        let (ticket, linked) = (world.ticket("APP-1").await, world.pull_request().await);
        let job = JobId::of_review(&linked.id, &review_id(name));
        let plan = Plan {
            id: job.clone(),
            project: &sample::project(),
            settings: &Settings::default(),
            repository: &sample::repository(99, "acme/app"),
            context: String::new(),
            labels: &BTreeSet::new(),
            now: at(100),
        };
        let revision = Revision { review: &review_id(name), head: None };
        let (job_made, ticket, pull_request) = plan_revision(&plan, &ticket, &linked, revision);
        let review = review(name, ReviewState::Started { job });
        Self { job: job_made, ticket, pull_request, review }
    }

    /// Told just now.
    pub(crate) async fn direct(&self, store: &Store) -> Result<Write, Error> {
        let reason = Reason::Accepted { job: self.job.id.clone() };
        let delivery = Delivery { job: Some(self.job.id.clone()), ..entry(self.review.id.as_str(), reason) };
        store.trigger_review(&TriggerReview { delivery: Some(&delivery), ..self.trigger() }).await
    }

    /// It waited.
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
    /// A ticket with its pull request.
    pub(crate) async fn with_linked() -> Self {
        let world = Self::new().await;
        world.applies(world.store.link_pull_request(&linked(), &sample::ticket("APP-1"))).await;
        world
    }

    /// The same, while a job runs for the ticket.
    pub(crate) async fn with_busy() -> (Self, JobId) {
        let world = Self::with_linked().await;
        let job = Revising::of(&world, "r0").await;
        world.applies(job.direct(&world.store)).await;
        (world, job.job.id)
    }

    pub(crate) async fn pull_request(&self) -> PullRequest {
        self.store.pull_request(&id()).await.unwrap().expect("the pull request")
    }

    pub(crate) async fn state(&self, name: &str) -> ReviewState {
        self.store.review(&id(), &review_id(name)).await.unwrap().expect("the review").state
    }

    pub(crate) async fn remembers(&self, names: &[&str]) {
        for name in names {
            self.applies(self.store.remember_review(&waits(name), &held(name))).await;
        }
    }

    async fn entry(&self, name: &str) -> Delivery {
        let id = DeliveryId::of_review(&sample::project(), &id(), &review_id(name));
        self.store.delivery(&id).await.unwrap().expect("the entry")
    }
}

/// Whether its answer arrives or is lost after it took effect, the write is Applied; the same again is stale.
async fn check(prepare: impl AsyncFn(&World), write: impl AsyncFn(&Store) -> Result<Write, Error>) {
    for fault in [None, Some(Fault::LostAnswer), Some(Fault::internal_error_after_effect())] {
        let world = World::with_linked().await;
        prepare(&world).await;
        if let Some(fault) = fault.clone() {
            world.faults.next("TransactWriteItems", fault.clone());
            world.faults.next("UpdateItem", fault);
        }
        assert_eq!(write(&world.store).await.unwrap(), Write::Applied, "{fault:?}");
    }
}

fn older(names: &[&str]) -> Vec<ReviewId> {
    names.iter().map(|name| review_id(name)).collect()
}

// Remember.

#[tokio::test]
async fn a_review_is_remembered_with_its_entry_once() {
    check(async |_| (), async |store| store.remember_review(&waits("r1"), &held("r1")).await).await;
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    assert_eq!((world.state("r1").await, world.entry("r1").await), (ReviewState::Deferred {}, held("r1")));
    world.refuses(world.store.remember_review(&waits("r1"), &held("r1"))).await;
}

#[tokio::test]
async fn a_review_that_was_refused_is_remembered_when_it_is_sent_again() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    world.applies(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
    world.applies(world.store.refuse_review(&waits("r1"), &refused())).await;
    world.refuses(world.store.remember_review(&waits("r1"), &held("r1"))).await;
    let anew = Review { version: 1, ..waits("r1") };
    world.applies(world.store.remember_review(&anew, &held("r1"))).await;
    assert_eq!((world.state("r1").await, world.entry("r1").await), (ReviewState::Deferred {}, held("r1")));
    // Who read it before has not seen that.
    world.refuses(world.store.refuse_review(&waits("r1"), &refused())).await;
    world.remembers(&["r2"]).await;
    world.refuses(world.store.refuse_with(&waits("r2"), &[&waits("r1")], &refused())).await;
    world.applies(world.store.refuse_with(&waits("r2"), &[&anew], &refused())).await;
}

/// What stands there is written over neither by what waits anew nor by what a job takes.
async fn check_not_told_again(stored: &[Review]) {
    let world = World::with_linked().await;
    for review in stored {
        world.applies(world.store.take_review(review, None)).await;
    }
    let again = Review { version: 1, ..waits("r1") };
    world.refuses(world.store.remember_review(&again, &held("r1"))).await;
    world.refuses(world.store.take_review(&again, None)).await;
}

#[tokio::test]
async fn a_review_is_told_again_only_over_the_refusal_that_was_read() {
    let started = ReviewState::Started { job: sample::job_id("j1") };
    check_not_told_again(&[waits("r1")]).await;
    check_not_told_again(&[review("r1", started)]).await;
    let later = Review { version: 1, ..review("r1", refused()) };
    check_not_told_again(&[review("r1", refused()), later]).await;
}

#[tokio::test]
async fn neither_half_is_remembered_over_a_lasting_answer() {
    let (world, _) = World::with_busy().await;
    world.refuses(world.store.remember_review(&waits("r0"), &held("r0"))).await;
    world.applies(world.store.record(&held("r1"))).await;
    world.refuses(world.store.remember_review(&waits("r1"), &held("r1"))).await;
}

#[tokio::test]
async fn a_ticket_knows_of_what_waits_for_its_job_and_keeps_the_first_time() {
    let (world, job) = World::with_busy().await;
    let before = world.ticket("APP-1").await;
    world.applies(world.store.defer_for_job(&before, &id(), &job, at(500))).await;
    world.applies(world.store.defer_for_job(&before, &id(), &job, at(900))).await;
    let after = world.ticket("APP-1").await;
    assert_eq!(after.deferred[&id().to_string()], at(500));
    assert_eq!(after.rev, before.rev + 2, "a settling that has not seen it can't end");
    world.refuses(world.store.defer_for_job(&before, &id(), &sample::job_id("other"), at(500))).await;
    assert!(!world.item("TICKET#", "TICKET").await.contains_key("wk"), "the job's end sees to it");
}

#[tokio::test]
async fn a_ticket_is_told_though_the_answer_was_lost_and_not_twice() {
    let (world, job) = World::with_busy().await;
    let before = world.ticket("APP-1").await;
    world.faults.next("UpdateItem", Fault::LostAnswer);
    world.applies(world.store.defer_for_job(&before, &id(), &job, at(500))).await;
    assert_eq!(world.ticket("APP-1").await.rev, before.rev + 1);
}

#[tokio::test]
async fn a_ticket_that_is_free_or_gone_waits_for_no_job() {
    let world = World::with_linked().await;
    let free = world.ticket("APP-1").await;
    world.refuses(world.store.defer_for_job(&free, &id(), &sample::job_id("j"), at(500))).await;
    world.refuses(world.store.defer_for_job(&sample::ticket("APP-2"), &id(), &sample::job_id("j"), at(500))).await;
}

// Trigger.

#[tokio::test]
async fn a_review_gets_its_job_once_with_all_that_belongs_to_it() {
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
async fn no_job_is_made_over_an_old_ticket_or_pull_request() {
    let world = World::with_linked().await;
    let revising = Revising::of(&world, "r1").await;
    world.applies(world.store.update_ticket(&world.ticket("APP-1").await)).await;
    world.refuses(revising.direct(&world.store)).await;
    let revising = Revising::of(&world, "r1").await;
    world.applies(world.store.update_pull_request(&world.pull_request().await)).await;
    world.refuses(revising.direct(&world.store)).await;
    world.applies(Revising::of(&world, "r1").await.direct(&world.store)).await;
}

#[tokio::test]
async fn a_review_that_waits_gets_its_job_only_by_settling() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    let revising = Revising::of(&world, "r1").await;
    world.refuses(revising.direct(&world.store)).await;
    world.faults.next("TransactWriteItems", Fault::internal_error_after_effect());
    world.applies(revising.settled(&world.store)).await;
    world.refuses(revising.settled(&world.store)).await;
}

#[tokio::test]
async fn settling_gives_no_job_to_what_does_not_wait() {
    let world = World::with_linked().await;
    world.refuses(Revising::of(&world, "r1").await.settled(&world.store)).await;
    world.remembers(&["r1", "r2", "r3"]).await;
    world.applies(world.store.absorb_reviews(&id(), &review_id("r2"), &older(&["r1"]))).await;
    world.applies(world.store.refuse_review(&waits("r3"), &refused())).await;
    for name in ["r1", "r3"] {
        world.refuses(Revising::of(&world, name).await.settled(&world.store)).await;
    }
}

#[tokio::test]
async fn a_refused_review_gets_its_job_when_it_is_sent_again() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    world.applies(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
    world.applies(world.store.refuse_review(&waits("r1"), &refused())).await;
    world.applies(Revising::of(&world, "r1").await.direct(&world.store)).await;
}

#[tokio::test]
async fn a_review_that_has_its_lasting_answer_gets_no_job() {
    let world = World::with_linked().await;
    world.applies(world.store.record(&held("r1"))).await;
    world.refuses(Revising::of(&world, "r1").await.direct(&world.store)).await;
}

// Edited.

#[tokio::test]
async fn a_review_that_nobody_knows_is_not_noted_as_edited() {
    let world = World::with_linked().await;
    world.refuses(world.store.note_review_edited(&id(), &review_id("gone"), &sample::project())).await;
}

#[tokio::test]
async fn a_review_is_noted_as_edited_for_the_project_that_has_it_alone() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    let edited = async || world.store.review(&id(), &review_id("r1")).await.unwrap().unwrap().edited;
    let other = pullyard_domain::id::ProjectId::new("neighbour").unwrap();
    world.refuses(world.store.note_review_edited(&id(), &review_id("r1"), &other)).await;
    assert!(!edited().await);
    world.applies(world.store.note_review_edited(&id(), &review_id("r1"), &sample::project())).await;
    assert!(edited().await);
}

/// A mark that is noted between the read of a stored review and `write` is still there after it.
async fn check_mark_stays(what: &str, write: impl AsyncFn(&World, &Review) -> Write) {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    if what != "settled" {
        world.applies(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
        world.applies(world.store.refuse_review(&waits("r1"), &refused())).await;
    }
    let read = world.store.review(&id(), &review_id("r1")).await.unwrap().unwrap();
    assert!(!read.edited);
    world.applies(world.store.note_review_edited(&id(), &read.id, &read.project)).await;
    assert_eq!(write(&world, &read).await, Write::Applied, "{what}");
    let stored = world.store.review(&id(), &read.id).await.unwrap().unwrap();
    assert!(stored.edited, "{what}");
    assert_ne!(stored.state, read.state, "{what}");
}

#[tokio::test]
async fn a_review_that_is_edited_while_it_gets_its_job_or_waits_anew_is_still_known_as_edited() {
    let anew = |state, read: &Review| Review { state, ..read.clone() }.after(Some(read));
    check_mark_stays("settled", async |world, read| {
        let revising = Revising::of(world, "r1").await;
        let review = Review { state: revising.review.state.clone(), ..read.clone() };
        Revising { review, ..revising }.settled(&world.store).await.unwrap()
    })
    .await;
    check_mark_stays("told again", async |world, read| {
        let revising = Revising::of(world, "r1").await;
        let review = anew(revising.review.state.clone(), read);
        Revising { review, ..revising }.direct(&world.store).await.unwrap()
    })
    .await;
    check_mark_stays("waits anew", async |world, read| {
        world.store.remember_review(&anew(ReviewState::Deferred {}, read), &held("r1")).await.unwrap()
    })
    .await;
    check_mark_stays("taken", async |world, read| {
        let taken = anew(ReviewState::Started { job: sample::job_id("j1") }, read);
        world.store.take_review(&taken, None).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_review_that_is_told_again_is_replaced_but_for_that_mark() {
    let world = World::with_linked().await;
    let request = Some(pullyard_domain::review::Request { message: Some("Again.".into()) });
    world.applies(world.store.take_review(&Review { request, ..review("r1", refused()) }, None)).await;
    let again = Review { version: 1, at: at(900), ..waits("r1") };
    world.applies(world.store.take_review(&again, None)).await;
    assert_eq!(world.store.reviews(&id()).await.unwrap(), vec![again]);
}

// Take over, and wait for a job.

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

/// What waits for this job from now on, after it was refused.
pub(crate) fn waits_for<'a>(review: &'a Review, delivery: &'a Delivery, job: &'a JobId) -> WaitsForJob<'a> {
    WaitsForJob { review, from: None, delivery: Some(delivery), job, opens_at: at(500) }
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

// Absorb.

#[tokio::test]
async fn older_reviews_are_absorbed_once_though_the_answer_was_lost() {
    let remembered = async |world: &World| world.remembers(&["r1", "r2", "r3"]).await;
    let absorb = async |store: &Store| store.absorb_reviews(&id(), &review_id("r3"), &older(&["r1", "r2"])).await;
    check(remembered, absorb).await;
    let world = World::with_linked().await;
    remembered(&world).await;
    world.applies(absorb(&world.store)).await;
    world.refuses(absorb(&world.store)).await;
    for (name, state) in [("r1", absorbed("r3")), ("r2", absorbed("r3")), ("r3", ReviewState::Deferred {})] {
        assert_eq!(world.state(name).await, state, "{name}");
    }
}

#[tokio::test]
async fn nothing_is_absorbed_by_what_waits_no_more_or_is_unknown() {
    let world = World::with_linked().await;
    world.remembers(&["r1", "r2"]).await;
    world.refuses(world.store.absorb_reviews(&id(), &review_id("gone"), &older(&["r1"]))).await;
    world.refuses(world.store.absorb_reviews(&id(), &review_id("r2"), &older(&["r1", "gone"]))).await;
    world.applies(Revising::of(&world, "r2").await.settled(&world.store)).await;
    world.refuses(world.store.absorb_reviews(&id(), &review_id("r2"), &older(&["r1"]))).await;
}

#[tokio::test]
async fn as_many_are_absorbed_at_once_as_the_domain_says() {
    let world = World::with_linked().await;
    let names: Vec<String> =
        (0..=pullyard_domain::review::settle::MOST_ABSORBED).map(|number| format!("r{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.remembers(&names).await;
    let (newest, rest) = names.split_last().unwrap();
    world.applies(world.store.absorb_reviews(&id(), &review_id(newest), &older(rest))).await;
    let newest = Review { version: 1, ..waits(newest) };
    let rest: Vec<Review> = rest.iter().map(|name| waits(name)).collect();
    world.applies(world.store.refuse_with(&newest, &rest.iter().collect::<Vec<_>>(), &refused())).await;
}

// Refuse.

#[tokio::test]
async fn what_waited_or_was_absorbed_is_refused_while_the_newest_waits() {
    let world = World::with_linked().await;
    world.remembers(&["r1", "r2", "r3"]).await;
    world.applies(world.store.absorb_reviews(&id(), &review_id("r3"), &older(&["r1"]))).await;
    let newest = Review { version: 1, ..waits("r3") };
    world.faults.next("TransactWriteItems", Fault::LostAnswer);
    world.applies(world.store.refuse_with(&newest, &[&waits("r1"), &waits("r2")], &refused())).await;
    world.refuses(world.store.refuse_with(&newest, &[&waits("r1"), &waits("r2")], &refused())).await;
    world.faults.next("UpdateItem", Fault::LostAnswer);
    world.applies(world.store.refuse_review(&newest, &refused())).await;
    world.refuses(world.store.refuse_review(&newest, &refused())).await;
    for name in ["r1", "r2", "r3"] {
        assert_eq!(world.state(name).await, refused(), "{name}");
    }
}

#[tokio::test]
async fn what_has_absorbed_another_since_it_was_read_is_not_refused() {
    let world = World::with_linked().await;
    world.remembers(&["r1", "r2"]).await;
    world.applies(world.store.absorb_reviews(&id(), &review_id("r2"), &older(&["r1"]))).await;
    world.refuses(world.store.refuse_review(&waits("r2"), &refused())).await;
    world.refuses(world.store.refuse_with(&waits("r2"), &[&waits("r1")], &refused())).await;
}

#[tokio::test]
async fn what_has_its_job_or_is_unknown_is_not_refused() {
    let world = World::with_linked().await;
    world.remembers(&["r1", "r2"]).await;
    world.refuses(world.store.refuse_review(&waits("gone"), &refused())).await;
    world.refuses(world.store.refuse_with(&waits("r1"), &[&waits("gone")], &refused())).await;
    world.applies(Revising::of(&world, "r2").await.settled(&world.store)).await;
    world.refuses(world.store.refuse_review(&waits("r2"), &refused())).await;
    world.refuses(world.store.refuse_with(&waits("r2"), &[&waits("r1")], &refused())).await;
}

// The ledger.

#[tokio::test]
async fn a_held_entry_names_its_job_and_keeps_its_answer() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    let job = sample::job_id("j1");
    world.faults.next("UpdateItem", Fault::LostAnswer);
    world.applies(world.store.conclude(&held("r1").id, &Conclusion::Covered(job.clone()))).await;
    assert_eq!(world.entry("r1").await, Delivery { job: Some(job.clone()), ..held("r1") });
    world.refuses(world.store.conclude(&held("r1").id, &Conclusion::Covered(sample::job_id("j2")))).await;
    world.refuses(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
    world.refuses(world.store.record(&held("r1"))).await;
}

#[tokio::test]
async fn a_last_answer_replaces_that_it_is_held_and_may_be_decided_again() {
    let world = World::with_linked().await;
    world.remembers(&["r1"]).await;
    for _ in 0..2 {
        world.applies(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
        assert_eq!(world.entry("r1").await, Delivery { reason: reason(), ..held("r1") });
    }
    world.applies(world.store.record(&entry("r1", Reason::OwnReview {}))).await;
}

#[tokio::test]
async fn what_was_refused_and_is_covered_all_the_same_says_so() {
    let world = World::with_linked().await;
    let paused = entry("r1", Reason::ProjectHeld { project: sample::project(), who: "ann".into() });
    world.applies(world.store.remember_review(&waits("r1"), &paused)).await;
    let job = sample::job_id("j1");
    world.applies(world.store.conclude(&paused.id, &Conclusion::Covered(job.clone()))).await;
    let accepted = Reason::Accepted { job: job.clone() };
    assert_eq!(world.entry("r1").await, Delivery { reason: accepted, job: Some(job), ..paused.clone() });
    world.refuses(world.store.record(&paused)).await;
}

#[tokio::test]
async fn what_is_not_on_record_is_not_concluded() {
    let world = World::with_linked().await;
    world.refuses(world.store.conclude(&held("r1").id, &Conclusion::Refused(reason()))).await;
    world.refuses(world.store.conclude(&held("r1").id, &Conclusion::Covered(sample::job_id("j1")))).await;
}

// Sizes.

#[tokio::test]
async fn even_the_largest_pull_request_review_and_ticket_that_waits_stay_small() {
    use crate::shape::sizes::{size, wide};
    use pullyard_domain::id::{IntegrationId, ProjectId, RepositoryName, TicketKey};
    use pullyard_domain::pull_request::{LastRevision, Note};
    use pullyard_domain::review::{LONGEST_MESSAGE, Request};
    let world = World::new().await;
    let slug = "p".repeat(40);
    let id =
        |number| PullRequestId { integration: IntegrationId::new(slug.clone()).unwrap(), repository: u64::MAX, number };
    let name = RepositoryName::new(format!("{}/{}", "o".repeat(39), "r".repeat(60))).unwrap();
    let author = "a".repeat(500);
    let reason = Reason::AuthorNotPermitted { author, repo: name.clone() }.clipped();
    let job = sample::job_id("one");
    let before = LastRevision::begun(&job, at(0), None);
    let mut pull_request = PullRequest {
        url: format!("https://{}", "u".repeat(200)),
        branch: "b".repeat(244),
        head: "f".repeat(64),
        repository_name: Some(name),
        updated_at: Some(at(0)),
        revised: Some(LastRevision::begun(&job, at(1), Some(before))),
        comment: Some(u64::MAX),
        not_before: Some(at(0)),
        job: Some(job),
        ..PullRequest::linked(
            id(u64::MAX),
            ProjectId::new(slug.clone()).unwrap(),
            Some(TicketKey::new(wide(64)).unwrap()),
            None,
        )
    };
    pull_request.tell(Note::Decision { reason: reason.clone() });
    world.applies(world.store.update_pull_request(&pull_request)).await;

    let mut ticket = sample::ticket(&wide(64));
    ticket.project = pull_request.project.clone();
    for number in 0..pullyard_domain::ticket::MOST_DEFERRED as u64 {
        ticket = ticket.deferring(&id(u64::MAX - number), at(0)).unwrap();
    }
    world.applies(world.store.update_ticket(&ticket)).await;

    let review = Review {
        pull_request: id(u64::MAX),
        id: review_id(&"r".repeat(64)),
        project: pull_request.project.clone(),
        ticket: ticket.key.clone(),
        author: Author { id: u64::MAX, login: "a".repeat(48), bot: false },
        request: Some(Request { message: Some(wide(LONGEST_MESSAGE)) }),
        ..review("r1", ReviewState::Refused { reason, at: at(0) })
    };
    world.applies(world.store.remember_review(&review, &held("r1"))).await;
    let pr = size(&world.item("PR#", "PR").await);
    let (ticket, review) = (size(&world.item("TICKET#", "TICKET").await), size(&world.item("PR#", "REVIEW#").await));
    println!("largest PR {pr} bytes, REVIEW {review}, TICKET that waits for ten {ticket}");
    assert!(pr <= 4 * 1_024, "{pr}");
    assert!(ticket <= 4 * 1_024, "{ticket}");
    // Sixteen of these are a person's own words.
    assert!(review <= 20 * 1_024, "{review}");
}
