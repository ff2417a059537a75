//! Tests the writes that suspend and resume jobs and add inputs.

use crate::prelude::*;
use crate::sample;
use crate::world::{World, fence};
use pullyard_domain::job::{AttemptRecord, Input, Pause, SuspendReport, Suspension};
use pullyard_domain::review::outcome::update_waiting_badge;
use pullyard_store::Error;

pub(crate) struct SuspensionCase {
    pub(crate) before: Job,
    pub(crate) job: Job,
    pub(crate) attempt: Option<AttemptRecord>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) input: Option<Input>,
}

impl SuspensionCase {
    pub(crate) async fn of(world: &World, before: &Job, job: Job) -> Self {
        let ended = match job.status {
            JobStatus::AwaitingInput => AttemptEnd::Asked {},
            _ => AttemptEnd::Paused {},
        };
        let attempt = sample::ended_attempt(before, ended, at(250)).filter(|_| job.run.is_none());
        let key = job.ticket.as_ref().expect("every job in this file has a ticket");
        let ticket = world.store.load_ticket(&job.project, key).await.unwrap();
        let ticket = ticket.and_then(|ticket| update_waiting_badge(&job, &ticket));
        Self { before: before.clone(), job, attempt, ticket, input: None }
    }

    pub(crate) fn request(&self) -> JobWrite<'_> {
        let Self { before, job, attempt, ticket, input } = self;
        JobWrite {
            analysis: None,
            before,
            job,
            attempt: attempt.as_ref(),
            output: None,
            ticket: ticket.as_ref(),
            pull_request: None,
            refund: None,
            spending: None,
            input: input.as_ref(),
            notice: None,
            runner: RunnerCondition::Exists,
        }
    }

    pub(crate) async fn write(&self, store: &Store) -> Result<Write, Error> {
        store.write_job(&self.request()).await
    }
}

pub(crate) fn question() -> Suspension {
    Suspension::Question { question: "Which list?".into() }
}

pub(crate) fn new_yield(rest: Suspension, inputs: u32, id: &str) -> SuspendReport {
    SuspendReport { id: sample::finish(id), suspension: rest, agent: Some("command".into()), session: None, inputs }
}

pub(crate) async fn prepare_yield(world: &World, job: &Job, rest: Suspension, inputs: u32) -> SuspensionCase {
    let next = job.suspend(&fence(job), &new_yield(rest, inputs, "y1"), at(250)).unwrap();
    SuspensionCase::of(world, job, next).await
}

pub(crate) async fn yield_job(world: &World, job: &Job, rest: Suspension, inputs: u32) -> Result<Write, Error> {
    prepare_yield(world, job, rest, inputs).await.write(&world.store).await
}

pub(crate) async fn prepare_input(world: &World, job: &Job, by: &str, key: &str) -> SuspensionCase {
    let next = job.resume_with_input(at(300)).unwrap();
    let input = job.new_input(by, &format!("{by} says so"), Some(key.into()), at(300));
    SuspensionCase { input: Some(input), ..SuspensionCase::of(world, job, next).await }
}

pub(crate) async fn send_input(world: &World, job: &Job, by: &str, key: &str) -> Result<Write, Error> {
    prepare_input(world, job, by, key).await.write(&world.store).await
}

/// A job whose agent had a question that was answered. Boxed, because a caller that creates every item has little stack
/// left.
pub(crate) fn answered_job<'a>(world: &'a World, ticket: &'a str) -> Pin<Box<dyn Future<Output = Job> + 'a>> {
    Box::pin(async move {
        let asking = world.questioning_job(ticket).await;
        world.expect_applied(send_input(world, &asking, "ann", "key")).await;
        world.job(&asking).await
    })
}

async fn paused_job(world: &World, ticket: &str) -> Job {
    let job = world.running_job(ticket, JobStatus::Executing).await;
    world.expect_applied(world.store.update_job(&job.pause(Pause::new("ann", at(240)), at(240)).unwrap())).await;
    let job = world.job(&job).await;
    world.expect_applied(yield_job(world, &job, Suspension::Pause, 0)).await;
    world.job(&job).await
}

async fn badge(world: &World) -> Option<Badge> {
    world.ticket("APP-1").await.wanted.badge
}

#[tokio::test]
async fn returned_job_frees_its_slot_and_marks_its_ticket() {
    let world = World::new().await;
    let runner = world.register_runner(&sample::runner("kite", 1)).await;
    let job = world.running_job_on(&runner, "APP-1", JobStatus::Executing).await;
    world.expect_applied(yield_job(&world, &job, question(), 0)).await;
    let asking = world.job(&job).await;
    assert_eq!((asking.status, asking.question.unwrap().text.as_str()), (JobStatus::AwaitingInput, "Which list?"));
    assert!(world.runner(&runner).await.slots.is_empty());
    assert_eq!(world.store.list_attempts(&job.id).await.unwrap()[0].ended, AttemptEnd::Asked {});
    assert_eq!(badge(&world).await, Some(Badge::AiWaiting));
    world.check_consistency().await;
}

#[tokio::test]
async fn answer_is_stored_with_its_question_and_resumes_the_job() {
    let world = World::new().await;
    let asking = world.questioning_job("APP-1").await;
    world.expect_applied(send_input(&world, &asking, "ann", "k1")).await;
    let job = world.job(&asking).await;
    assert_eq!((job.status, job.inputs, job.question.as_ref()), (JobStatus::Ready, 1, None));
    let inputs = world.store.list_inputs(&job.id, 0).await.unwrap();
    let entries: Vec<_> =
        inputs.iter().map(|input| (input.seq, input.text.as_str(), input.question.as_deref())).collect();
    assert_eq!(entries, [(1, "ann says so", Some("Which list?"))]);
    assert_eq!(badge(&world).await, None);
    // A later input gets the next number, and readers can start after a number.
    world.expect_applied(send_input(&world, &job, "bob", "k2")).await;
    let later = world.store.list_inputs(&job.id, 1).await.unwrap();
    assert_eq!(later.iter().map(|input| (input.seq, input.by.as_str())).collect::<Vec<_>>(), [(2, "bob")]);
    assert_eq!(world.store.list_inputs(&job.id, 2).await.unwrap(), []);
    world.check_consistency().await;
}

#[tokio::test]
async fn inputs_are_read_across_pages() {
    let world = World::calm().await;
    let asking = world.questioning_job("APP-1").await;
    for key in ["k1", "k2", "k3"] {
        let job = world.job(&asking).await;
        world.expect_applied(send_input(&world, &job, "ann", key)).await;
    }
    world.faults.take_call_count("Query");
    world.faults.fail_next("Query", Fault::ShortPage);
    let inputs = world.store.list_inputs(&asking.id, 0).await.unwrap();
    assert_eq!(inputs.iter().map(|input| input.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(world.faults.take_call_count("Query"), 2);
}

#[tokio::test]
async fn pause_and_resume_change_the_badge_of_the_ticket() {
    let world = World::new().await;
    let still = paused_job(&world, "APP-1").await;
    assert_eq!((still.status, badge(&world).await), (JobStatus::Paused, Some(Badge::AiWaiting)));
    let goes_on = SuspensionCase::of(&world, &still, still.resume(at(400)).unwrap()).await;
    world.expect_applied(goes_on.write(&world.store)).await;
    assert_eq!((world.job(&still).await.status, badge(&world).await), (JobStatus::Ready, None));
    // A job without a runner is paused without an attempt.
    let ready = world.job(&still).await;
    let again = SuspensionCase::of(&world, &ready, ready.pause(Pause::new("bob", at(410)), at(410)).unwrap()).await;
    assert_eq!(again.attempt, None);
    world.expect_applied(again.write(&world.store)).await;
    assert_eq!((world.job(&still).await.status, badge(&world).await), (JobStatus::Paused, Some(Badge::AiWaiting)));
    world.check_consistency().await;
}

#[tokio::test]
async fn input_pause_and_resume_keep_the_slot() {
    let world = World::new().await;
    let runner = world.register_runner(&sample::runner("kite", 1)).await;
    let job = world.running_job_on(&runner, "APP-1", JobStatus::Executing).await;
    let slots = world.runner(&runner).await.slots;
    world.expect_applied(send_input(&world, &job, "ann", "k1")).await;
    let pauses = |job: &Job| job.pause(Pause::new("ann", at(310)), at(310));
    let goes_on = |job: &Job| job.resume(at(320));
    for wants in [pauses, goes_on] {
        let job = world.job(&job).await;
        world.expect_applied(SuspensionCase::of(&world, &job, wants(&job).unwrap()).await.write(&world.store)).await;
        assert_eq!(world.runner(&runner).await.slots, slots);
        world.check_consistency().await;
    }
}
