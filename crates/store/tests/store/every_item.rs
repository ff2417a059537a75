//! Tests each write: raced by concurrent callers, with a lost answer, and over items that another writer changed. Every
//! item is changed in turn before the write, so a condition that omits an item is found independent of the others.

mod ends;
pub(crate) mod forms;
mod reviews;
mod single;

use crate::answers::{WRITES, without_marks};
use crate::prelude::*;
use crate::sample;
use crate::suspensions::{SuspensionCase, prepare_input, prepare_yield, question};
use crate::world::{World, prepare_requeue, requeue_write};
use pullyard_domain::job::Claim;
use pullyard_domain::project::budget::Charge;
use pullyard_domain::project::spending::Spending;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_store::Error;
use std::task::Poll;

const BUDGET: Budget = Budget { jobs_per_day: Some(1), usd_micros_per_day: None, usd_micros_per_job: 5_000_000 };

/// Changes one item before the write: creates it, raises its revision, or deletes it.
async fn change_item(world: &World, before: Option<&Item>, after: &Item) {
    let raised = ["rev", "epoch"].into_iter().find_map(|name| Some((name, before?.get(name)?.as_n().ok()?)));
    match (before, raised) {
        // The mark of the tested write would make the item look like its own repeat.
        (None, _) => world.put_item(after.clone().into_iter().filter(|(name, _)| name != "mark").collect()).await,
        (Some(item), Some((name, number))) => {
            let mut item = item.clone();
            let later = number.parse::<u64>().unwrap() + 1;
            item.insert(name.into(), AttributeValue::N(later.to_string()));
            world.put_item(item).await;
        }
        (Some(item), None) => {
            let key = |name: &str| item[name].clone();
            let delete = world.client.delete_item().table_name(&world.table);
            delete.key("pk", key("pk")).key("sk", key("sk")).send().await.unwrap();
        }
    }
}

const CALLERS: usize = 16;

/// Polls all callers in turn until each has its answer.
async fn at_once<F: Future>(callers: Vec<F>) -> Vec<F::Output> {
    let mut callers: Vec<_> = callers.into_iter().map(|caller| (Box::pin(caller), None)).collect();
    std::future::poll_fn(|context| {
        for (caller, answer) in &mut callers {
            if answer.is_none()
                && let Poll::Ready(ready) = caller.as_mut().poll(context)
            {
                *answer = Some(ready);
            }
        }
        if callers.iter().all(|(_, answer)| answer.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    callers.into_iter().filter_map(|(_, answer)| answer).collect()
}

/// Asserts that one of many callers succeeds, that a lost answer changes nothing, and that a change of any of the
/// `count` items refuses the write. `beside` lists key prefixes of items that are written unconditionally.
// Futures are boxed, because a test with several checks would need much stack in a debug build.
async fn check<T>(
    prepare: impl AsyncFn() -> (World, T),
    write: impl AsyncFn(&World, &T) -> Result<Write, Error>,
    (count, beside): (usize, &[&str]),
) {
    let (world, prepared) = Box::pin(prepare()).await;
    let before = world.items().await;
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(write(&world, &prepared));
    }
    world.faults.restart(None);
    let answers: Vec<_> = at_once(callers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == Write::Applied).count(), 1, "{answers:?}");
    let calls = world.faults.points();
    let operation = WRITES.into_iter().find(|write| calls.iter().any(|call| call.operation == *write));
    let operation = operation.expect("the write is sent");
    let after = world.items().await;
    check_lost_answer(Box::pin(prepare()).await, &write, operation, &after).await;
    let changes = after.iter().filter(|(key, item)| before.get(*key) != Some(*item));
    let (held, free): (Vec<_>, Vec<_>) =
        changes.partition(|((pk, sk), _)| !beside.iter().any(|free| pk.starts_with(free) || sk.starts_with(free)));
    assert_eq!((held.len(), free.len()), (count, beside.len()), "{:?}", after.keys());
    for (key, item) in held {
        let (world, prepared) = Box::pin(prepare()).await;
        change_item(&world, before.get(key), item).await;
        println!("{key:?} is not as it was read");
        world.expect_refused(Box::pin(write(&world, &prepared))).await;
    }
}

/// Asserts that the write with a lost answer leaves the same items as `after`.
async fn check_lost_answer<T>(
    (world, prepared): (World, T),
    write: &impl AsyncFn(&World, &T) -> Result<Write, Error>,
    operation: &'static str,
    after: &Items,
) {
    world.faults.take_call_count(operation);
    world.faults.fail_next(operation, Fault::LostAnswer);
    world.expect_applied(Box::pin(write(&world, &prepared))).await;
    assert!(world.faults.take_call_count(operation) >= 2, "the answer was not lost");
    assert_eq!(without_marks(world.items().await), without_marks(after.clone()));
}

#[tokio::test]
async fn move_of_a_run_is_refused_by_each_changed_item() {
    let prepare = async || (World::new().await, ());
    let create = async |world: &World, (): &()| {
        world.store.create_run(&sample::run(0), &sample::frozen_plan(), Some(&sample::group(0))).await
    };
    check(prepare, create, (3, &[])).await;
    let prepare = async || {
        let world = World::new().await;
        world
            .expect_applied(world.store.create_run(&sample::run(0), &sample::frozen_plan(), Some(&sample::group(0))))
            .await;
        world.expect_applied(world.store.create_job(&job_trigger(&sample::step_job()))).await;
        (world, ())
    };
    let update = async |world: &World, (): &()| world.store.update_run(&sample::run(1)).await;
    check(prepare, update, (1, &[])).await;
    let write = async |world: &World, (): &()| {
        let next = Job { reserved: BUDGET.reserve(at(0)), ..sample::job("next") };
        let (noted, created) = ([Job { rev: 1, is_noted: true, ..sample::step_job() }], [next]);
        let charge = BUDGET.charge(&created[0]);
        let (run, group, notice) = (sample::run(1), sample::group(1), sample::notice(0));
        let (charge, group, notice) = (charge.as_ref(), Some(&group), Some(&notice));
        world.store.move_run(&RunWrite { run: &run, noted: &noted, created: &created, charge, group, notice }).await
    };
    check(prepare, write, (6, &[])).await;
}

struct FullTrigger {
    job: Job,
    ticket: Ticket,
    delivery: Delivery,
    request: Request,
    charge: Charge,
    spending: Spending,
}

impl FullTrigger {
    async fn of(world: &World) -> Self {
        world.store.update_snapshot(&sample::event("APP-1", "evt-1", at(1), "AI Processing"), None).await.unwrap();
        let (job, ticket) = sample::plan_ticket_job(&world.ticket("APP-1").await, "one");
        let (job, spending) = sample::charge_spending(&Job { reserved: BUDGET.reserve(at(0)), ..job });
        let (delivery, charge) = (sample::accepted_decision(&job), BUDGET.charge(&job).unwrap());
        Self { delivery, charge, spending, request: sample::request("one", at(0)), job, ticket }
    }

    async fn write(&self, world: &World) -> Result<Write, Error> {
        let analysis = sample::analysis(0);
        let trigger = JobCreation {
            analysis: Some(&analysis),
            job: &self.job,
            ticket: Some(&self.ticket),
            delivery: Some(&self.delivery),
            pull_request: None,
            charge: Some(&self.charge),
            spending: Some(&self.spending),
            request: Some(&self.request),
        };
        world.store.create_job(&trigger).await
    }
}

#[tokio::test]
async fn token_is_created_again_with_an_expired_request_key() {
    let world = World::new().await;
    let [one, two] = ["1", "2"].map(|digit| sample::token(&digit.repeat(16), digit));
    let day = at(24 * 3_600);
    world.expect_applied(world.store.create_token(&one, Some(&sample::request("key", at(0))))).await;
    let load_request = async |now| world.store.load_request(&sample::request("key", now)).await.unwrap();
    assert_eq!((load_request(at(1)).await, load_request(day).await), (Some(("c0ffee".into(), one.id())), None));
    world.expect_refused(world.store.create_token(&two, Some(&sample::request("key", at(1))))).await;
    world.expect_applied(world.store.create_token(&two, Some(&sample::request("key", day)))).await;
}

#[tokio::test]
async fn remember_review_is_refused_by_each_changed_item() {
    let prepare = async || {
        let world = World::with_linked().await;
        let marked = world.ticket("APP-1").await.schedule_review(&pull_request_id(), at(500));
        (world, marked)
    };
    let write = async |world: &World, marked: &Ticket| {
        world.store.create_deferred_review(&waiting_review("r1"), &held_entry("r1"), marked).await
    };
    check(prepare, write, (3, &[])).await;
}

#[tokio::test]
async fn call_off_is_refused_by_each_changed_item() {
    let prepare = async || {
        let (world, id) = World::with_running_job().await;
        let job = world.store.load_job(&id).await.unwrap().expect("the job exists");
        let closed = PullRequest { state: PullRequestState::Closed, ..world.pull_request().await };
        let ticket = world.store.load_ticket(&job.project, job.ticket.as_ref().unwrap()).await.unwrap().unwrap();
        (world, (job, closed, ticket))
    };
    let write = async |world: &World, (job, closed, ticket): &(Job, PullRequest, Ticket)| {
        world.store.request_cancel(job, closed, Some(ticket)).await
    };
    check(prepare, write, (3, &[])).await;
}

async fn running_charged_job(world: &World, claim: impl FnOnce(&Job) -> Claim) -> Job {
    let trigger = FullTrigger::of(world).await;
    world.expect_applied(trigger.write(world)).await;
    let job = world.job(&trigger.job).await;
    let job = world.claim_job(&job, &claim(&job)).await;
    world.advance_job(&job, JobStatus::Syncing).await
}

async fn job_on_task(world: &World) -> Job {
    running_charged_job(world, |job| sample::claim_by_task(job, "c1")).await
}

async fn job_on_runner(world: &World) -> Job {
    let runner = world.register_runner(&sample::runner("kite", 2)).await;
    running_charged_job(world, |job| sample::claim_by(&runner, job, "c1")).await
}

type CreateRunningJob = for<'w> fn(&'w World) -> Pin<Box<dyn Future<Output = Job> + 'w>>;

const RUNNING_JOBS: [(CreateRunningJob, &[&str]); 2] =
    [(|world| Box::pin(job_on_task(world)), &[]), (|world| Box::pin(job_on_runner(world)), &["RUNNERS#"])];

#[tokio::test]
async fn requeue_is_refused_by_each_changed_item() {
    for (runs, beside) in RUNNING_JOBS {
        let prepare = async || {
            let world = World::new().await;
            let job = runs(&world).await;
            (world, job)
        };
        let write = async |world: &World, before: &Job| {
            let (job, attempt) = prepare_requeue(before);
            world.store.write_job(&requeue_write(before, &job, &attempt, RunnerCondition::Exists)).await
        };
        check(prepare, write, (2, beside)).await;
    }
}

#[tokio::test]
async fn suspend_and_input_are_refused_by_each_changed_item() {
    let prepare = async || {
        let world = World::new().await;
        let job = world.running_job("APP-1", JobStatus::Executing).await;
        let resting = prepare_yield(&world, &job, question(), 0).await;
        (world, resting)
    };
    check(prepare, async |world, resting: &SuspensionCase| resting.write(&world.store).await, (3, &[])).await;
    let prepare = async || {
        let world = World::new().await;
        let asking = world.questioning_job("APP-1").await;
        let telling = prepare_input(&world, &asking, "ann", "key").await;
        (world, telling)
    };
    check(prepare, async |world, telling: &SuspensionCase| telling.write(&world.store).await, (3, &[])).await;
}

#[tokio::test]
async fn input_to_a_working_agent_is_refused_by_each_changed_item() {
    let prepare = async || {
        let world = World::new().await;
        let job = world.running_job("APP-1", JobStatus::Executing).await;
        let telling = prepare_input(&world, &job, "ann", "key").await;
        (world, telling)
    };
    check(prepare, async |world, telling: &SuspensionCase| telling.write(&world.store).await, (2, &[])).await;
}

#[tokio::test]
async fn link_and_token_creation_are_refused_by_each_existing_item() {
    let ticket = sample::ticket("APP-1");
    let empty = async || (World::new().await, ());
    check(empty, async |world, (): &()| world.store.link_pull_request(&linked_pull_request(), &ticket).await, (2, &[]))
        .await;
    let (token, request) = (sample::token("abc", "laptop"), sample::request("key", at(0)));
    check(empty, async |world, (): &()| world.store.create_token(&token, Some(&request)).await, (2, &[])).await;
}
