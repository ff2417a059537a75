//! Tests suspended jobs: what each write that suspends, resumes or adds an input stores.

use crate::sample::{self, at};
use crate::world::{World, fence};
use pullyard_domain::job::{AttemptEnd, AttemptRecord, Input, Job, JobStatus, Pause, SuspendReport, Suspension};
use pullyard_domain::outcome::update_waiting_badge;
use pullyard_domain::ticket::{Badge, Ticket};
use pullyard_store::{Error, Proof, Rested, Store, Write};
use pullyard_testkit::Fault;
use std::pin::Pin;

/// A suspension or resume with all its items.
pub(crate) struct Resting {
    pub(crate) before: Job,
    pub(crate) job: Job,
    pub(crate) attempt: Option<AttemptRecord>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) input: Option<Input>,
}

impl Resting {
    /// The items of the change from `before` to `job`, built from the current table.
    pub(crate) async fn of(world: &World, before: &Job, job: Job) -> Self {
        let ended = match job.status {
            JobStatus::AwaitingInput => AttemptEnd::Asked {},
            _ => AttemptEnd::Paused {},
        };
        let attempt = sample::attempt_of(before, ended, at(250)).filter(|_| job.run.is_none());
        let key = job.ticket.as_ref().expect("every job in this file has a ticket");
        let ticket = world.store.ticket(&job.project, key).await.unwrap();
        let ticket = ticket.and_then(|ticket| update_waiting_badge(&job, &ticket));
        Self { before: before.clone(), job, attempt, ticket, input: None }
    }

    pub(crate) fn rested(&self) -> Rested<'_> {
        let Self { before, job, attempt, ticket, input } = self;
        Rested {
            before,
            job,
            attempt: attempt.as_ref(),
            ticket: ticket.as_ref(),
            input: input.as_ref(),
            proof: Proof::Nothing,
        }
    }

    pub(crate) async fn write(&self, store: &Store) -> Result<Write, Error> {
        store.rest(&self.rested()).await
    }
}

pub(crate) fn asks() -> Suspension {
    Suspension::Question { question: "Which list?".into() }
}

pub(crate) fn yielded(rest: Suspension, inputs: u32, id: &str) -> SuspendReport {
    SuspendReport { id: sample::finish(id), suspension: rest, agent: Some("command".into()), session: None, inputs }
}

/// The runner returns its job at 250 s.
pub(crate) async fn giving_back(world: &World, job: &Job, rest: Suspension, inputs: u32) -> Resting {
    let next = job.suspend(&fence(job), &yielded(rest, inputs, "y1"), at(250)).unwrap();
    Resting::of(world, job, next).await
}

pub(crate) async fn give_back(world: &World, job: &Job, rest: Suspension, inputs: u32) -> Result<Write, Error> {
    giving_back(world, job, rest, inputs).await.write(&world.store).await
}

/// A user sends an input with this key.
pub(crate) async fn telling(world: &World, job: &Job, by: &str, key: &str) -> Resting {
    let next = job.resume_with_input(at(300)).unwrap();
    let input = job.new_input(by, &format!("{by} says so"), Some(key.into()), at(300));
    Resting { input: Some(input), ..Resting::of(world, job, next).await }
}

pub(crate) async fn tell(world: &World, job: &Job, by: &str, key: &str) -> Result<Write, Error> {
    telling(world, job, by, key).await.write(&world.store).await
}

/// A job whose agent had a question that was answered. Boxed, because a caller that creates every item has little stack
/// left.
pub(crate) fn answered<'a>(world: &'a World, ticket: &'a str) -> Pin<Box<dyn Future<Output = Job> + 'a>> {
    Box::pin(async move {
        let asking = world.asking(ticket).await;
        world.applies(tell(world, &asking, "ann", "key")).await;
        world.job(&asking).await
    })
}

/// A job that a user paused and its runner then returned.
async fn paused(world: &World, ticket: &str) -> Job {
    let job = world.running(ticket, JobStatus::Executing).await;
    world.applies(world.store.update_job(&job.pause(Pause::new("ann", at(240)), at(240)).unwrap())).await;
    let job = world.job(&job).await;
    world.applies(give_back(world, &job, Suspension::Pause, 0)).await;
    world.job(&job).await
}

async fn badge(world: &World) -> Option<Badge> {
    world.ticket("APP-1").await.wanted.badge
}

#[tokio::test]
async fn returned_job_frees_its_slot_and_marks_its_ticket() {
    let world = World::new().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let job = world.running_on(&runner, "APP-1", JobStatus::Executing).await;
    world.applies(give_back(&world, &job, asks(), 0)).await;
    let asking = world.job(&job).await;
    assert_eq!((asking.status, asking.question.unwrap().text.as_str()), (JobStatus::AwaitingInput, "Which list?"));
    assert!(world.runner(&runner).await.slots.is_empty());
    assert_eq!(world.store.attempt(&job.id, 1).await.unwrap().unwrap().ended, AttemptEnd::Asked {});
    assert_eq!(badge(&world).await, Some(Badge::AiWaiting));
    world.whole().await;
}

#[tokio::test]
async fn answer_is_stored_with_its_question_and_resumes_the_job() {
    let world = World::new().await;
    let asking = world.asking("APP-1").await;
    world.applies(tell(&world, &asking, "ann", "k1")).await;
    let job = world.job(&asking).await;
    assert_eq!((job.status, job.inputs, job.question.as_ref()), (JobStatus::Ready, 1, None));
    let inputs = world.store.inputs(&job.id, 0).await.unwrap();
    let said: Vec<_> = inputs.iter().map(|input| (input.seq, input.text.as_str(), input.question.as_deref())).collect();
    assert_eq!(said, [(1, "ann says so", Some("Which list?"))]);
    assert_eq!(badge(&world).await, None);
    // A later input gets the next number, and readers can start after a number.
    world.applies(tell(&world, &job, "bob", "k2")).await;
    let later = world.store.inputs(&job.id, 1).await.unwrap();
    assert_eq!(later.iter().map(|input| (input.seq, input.by.as_str())).collect::<Vec<_>>(), [(2, "bob")]);
    assert_eq!(world.store.inputs(&job.id, 2).await.unwrap(), []);
    world.whole().await;
}

#[tokio::test]
async fn inputs_are_read_across_pages() {
    let world = World::calm().await;
    let asking = world.asking("APP-1").await;
    for key in ["k1", "k2", "k3"] {
        let job = world.job(&asking).await;
        world.applies(tell(&world, &job, "ann", key)).await;
    }
    world.faults.calls("Query");
    world.faults.next("Query", Fault::ShortPage);
    let inputs = world.store.inputs(&asking.id, 0).await.unwrap();
    assert_eq!(inputs.iter().map(|input| input.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(world.faults.calls("Query"), 2);
}

#[tokio::test]
async fn pause_and_resume_change_the_badge_of_the_ticket() {
    let world = World::new().await;
    let still = paused(&world, "APP-1").await;
    assert_eq!((still.status, badge(&world).await), (JobStatus::Paused, Some(Badge::AiWaiting)));
    let goes_on = Resting::of(&world, &still, still.resume(at(400)).unwrap()).await;
    world.applies(goes_on.write(&world.store)).await;
    assert_eq!((world.job(&still).await.status, badge(&world).await), (JobStatus::Ready, None));
    // A job without a runner is paused without an attempt.
    let ready = world.job(&still).await;
    let again = Resting::of(&world, &ready, ready.pause(Pause::new("bob", at(410)), at(410)).unwrap()).await;
    assert_eq!(again.attempt, None);
    world.applies(again.write(&world.store)).await;
    assert_eq!((world.job(&still).await.status, badge(&world).await), (JobStatus::Paused, Some(Badge::AiWaiting)));
    world.whole().await;
}

#[tokio::test]
async fn input_pause_and_resume_keep_the_slot() {
    let world = World::new().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let job = world.running_on(&runner, "APP-1", JobStatus::Executing).await;
    let slots = world.runner(&runner).await.slots;
    world.applies(tell(&world, &job, "ann", "k1")).await;
    let pauses = |job: &Job| job.pause(Pause::new("ann", at(310)), at(310));
    let goes_on = |job: &Job| job.resume(at(320));
    for wants in [pauses, goes_on] {
        let job = world.job(&job).await;
        world.applies(Resting::of(&world, &job, wants(&job).unwrap()).await.write(&world.store)).await;
        assert_eq!(world.runner(&runner).await.slots, slots);
        world.whole().await;
    }
}
