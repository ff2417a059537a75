//! Dispatch of tasks: changes of the job during RunTask, failed starts, and stopped tasks.

use crate::delayed_call::DelayedCall;
use crate::prelude::*;
use crate::world::World;
use pullyard_control::attempt::start_attempt;
use pullyard_control::{Bootstrap, Counter, cancel_job, dispatch, start_waiting};
use pullyard_domain::job::{DispatchFault, Placement, Priority, StartRefusal};
use serde_json::{Value, json};

const TASK: &str = "arn:aws:ecs:us-east-1:000000000000:task/fleet/1";

fn response(body: Value) -> Fault {
    Fault::Refused(200, body)
}

pub(crate) fn refusal(message: &str) -> Fault {
    Fault::Refused(400, json!({ "__type": "InvalidParameterException", "message": message }))
}

/// A job on Fargate that waits for its dispatch; wake-ups are refused.
async fn waiting_job(world: &World, wire: &Wire) -> Job {
    wire.fail_always("SendMessage", refusal("Nobody is there."));
    world.job(&Settings { compute: Compute::Fargate, ..Settings::default() }).await
}

fn started() -> Fault {
    response(json!({ "tasks": [{ "taskArn": TASK }], "failures": [] }))
}

async fn dispatch_while(world: &World, held: &DelayedCall, job: &JobId, meanwhile: impl Future<Output = ()>) {
    held.wire.fail_next("RunTask", started());
    held.run_before_call(dispatch(&world.ctx, job), meanwhile).await.unwrap();
}

#[tokio::test]
async fn task_name_is_stored_despite_an_input_during_run_task() {
    let held = DelayedCall::before("RunTask");
    let world = &World::with_client(held.clone()).await;
    let job = waiting_job(world, &held.wire).await;
    let resume = async {
        let next_job = world.load_job(&job.id).await.resume_with_input(world.ctx.clock.now()).unwrap();
        assert_applied(world.ctx.store.update_job(&next_job).await);
    };
    dispatch_while(world, &held, &job.id, resume).await;
    let started = world.load_job(&job.id).await;
    assert_eq!((started.dispatch.task.as_deref(), started.inputs), (Some(TASK), 1));
}

#[tokio::test]
async fn task_is_stopped_if_its_job_is_cancelled_during_run_task() {
    let held = DelayedCall::before("RunTask");
    let world = &World::with_client(held.clone()).await;
    let job = waiting_job(world, &held.wire).await;
    // The cancel does not know the task's name.
    let cancelled = async {
        let ended = cancel_job(&world.ctx, &job.id, "ana", None).await.unwrap();
        assert_eq!(ended.status, JobStatus::Cancelled);
    };
    held.wire.fail_next("StopTask", response(json!({ "task": {} })));
    dispatch_while(world, &held, &job.id, cancelled).await;
    assert_eq!(held.wire.take_call_count("StopTask"), 1);
}

#[tokio::test]
async fn failed_start_is_counted_if_a_person_must_act() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    let ctx = &world.ctx;
    let job = waiting_job(&world, &wire).await;
    let failed = |reason: &str| response(json!({ "tasks": [], "failures": [{ "reason": reason }] }));
    let denied = || Fault::Refused(400, json!({ "__type": "AccessDeniedException", "message": "You may not." }));
    ctx.counters().take();
    for (answer, counted) in [
        (failed("Capacity is unavailable at this time."), 0),
        (failed("Rate exceeded"), 0),
        (denied(), 1),
        (denied(), 1),
        (denied(), 1),
        (denied(), 1),
        (failed("TaskDefinition is inactive"), 1),
    ] {
        wire.fail_next("RunTask", answer.clone());
        dispatch(ctx, &job.id).await.unwrap();
        assert_eq!(wire.take_call_count("RunTask"), 1, "{answer:?}");
        let counts = ctx.counters().take();
        let failures: u64 =
            counts.iter().filter(|(counter, _)| *counter == Counter::TaskStartFailed).map(|(_, count)| count).sum();
        assert_eq!(failures, counted, "{answer:?}");
        assert_eq!(world.load_job(&job.id).await.start_failure(), None, "{answer:?}");
        ctx.clock.advance(Duration::from_secs(301));
    }
}

#[tokio::test]
async fn wake_up_starts_no_task_after_the_last_failed_start() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    let ctx = &world.ctx;
    let mut job = waiting_job(&world, &wire).await;
    for _ in 0..3 {
        let now = ctx.clock.now();
        let fault = DispatchFault::Refused { reason: "no role".into(), refusal: StartRefusal::Lasting };
        job = job.begin_dispatch(now).unwrap();
        job = job.record_start_fault(1, job.dispatch.number, fault, now).unwrap();
    }
    assert_applied(ctx.store.update_job(&job).await);
    // The job is due, but the sweeper has not handled it yet.
    ctx.clock.advance(Duration::from_secs(301));
    dispatch(ctx, &job.id).await.unwrap();
    assert_eq!(wire.take_call_count("RunTask"), 0);
}

#[tokio::test]
async fn all_tasks_of_a_cancelled_job_are_stopped_with_retries() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    let ctx = &world.ctx;
    let job = waiting_job(&world, &wire).await;
    // Dispatched, but without a task name.
    assert_applied(ctx.store.update_job(&job.begin_dispatch(ctx.clock.now()).unwrap()).await);
    cancel_job(ctx, &job.id, "ana", None).await.unwrap();
    let listed = || response(json!({ "taskArns": [TASK, format!("{TASK}2")] }));
    wire.fail_next("ListTasks", listed());
    wire.fail_next("StopTask", refusal("You may not."));
    wire.fail_next("StopTask", response(json!({ "task": {} })));
    assert!(dispatch(ctx, &job.id).await.is_err(), "the message is retried");
    assert_eq!(wire.take_call_count("StopTask"), 2);
    // A missing task counts as stopped.
    wire.fail_next("ListTasks", listed());
    wire.fail_next("StopTask", refusal("The referenced task was not found."));
    wire.fail_next("StopTask", response(json!({ "task": {} })));
    dispatch(ctx, &job.id).await.unwrap();
    assert_eq!(wire.take_call_count("StopTask"), 2);
}

async fn claimed_task(number: u32) -> Option<String> {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    world.connect().await;
    let ctx = &world.ctx;
    let job = waiting_job(&world, &wire).await;
    let now = ctx.clock.now();
    let first = job.begin_dispatch(now).unwrap().set_task(1, 1, "task-1").unwrap();
    let silent = first.record_start_fault(1, 1, DispatchFault::Silent, now).unwrap();
    let second = silent.begin_dispatch(now).unwrap().set_task(1, 2, "task-2").unwrap();
    assert_applied(ctx.store.update_job(&second).await);
    let bootstrap = Bootstrap { job: job.id, attempt: 1, dispatch: number, expires: now };
    let (claim, instance) = (ClaimId::new("c1").unwrap(), InstanceId::new("i1").unwrap());
    let begun = start_attempt(ctx, &bootstrap, claim, instance, None).await.unwrap();
    begun.job.run.unwrap().task
}

#[tokio::test]
async fn unnamed_task_takes_the_name_of_its_own_dispatch_only() {
    assert_eq!(claimed_task(2).await.as_deref(), Some("task-2"));
    assert_eq!(claimed_task(1).await, None);
}

/// Dispatches a job; `answers` are those of RunTask. Returns whether a hint was sent, which is for the next job.
async fn dispatch_on(world: &World, wire: &Wire, job: &Job, answers: &[Fault]) -> bool {
    wire.restart(None);
    for answer in answers {
        wire.fail_next("RunTask", answer.clone());
    }
    dispatch(&world.ctx, &job.id).await.unwrap();
    let count = |operation: &str| wire.points().iter().filter(|point| point.operation == operation).count();
    assert_eq!(count("RunTask"), answers.len(), "{}", job.id);
    count("SendMessage") > 0
}

#[tokio::test]
async fn free_place_goes_to_the_first_waiting_job() {
    let wire = Wire::default();
    wire.fail_always("SendMessage", refusal("Nobody is there."));
    let world = &World::on_one_machine(wire.clone()).await;
    let mut jobs = Vec::new();
    let priorities = [Priority::Normal, Priority::Normal, Priority::High, Priority::Low];
    for (number, priority) in priorities.into_iter().enumerate() {
        world.ctx.clock.advance(Duration::from_secs(1));
        let job = Job { place: Placement::Fargate, priority, ..world.plan("machine", number, 1) };
        jobs.push(world.store_job(&job).await);
    }
    let [oldest, younger, urgent, cancelled] = &jobs[..] else { panic!("{jobs:?}") };
    let full = || response(json!({ "tasks": [], "failures": [{ "reason": "RESOURCE:CPU" }] }));
    assert!(!dispatch_on(world, &wire, oldest, &[full()]).await);
    // A place is free now, but the younger job waits behind the refused one.
    assert!(!dispatch_on(world, &wire, younger, &[]).await);
    assert!(world.load_job(&younger.id).await.awaits_machine(world.ctx.clock.now()));
    assert!(!dispatch_on(world, &wire, cancelled, &[]).await);
    cancel_job(&world.ctx, &cancelled.id, "ana", None).await.unwrap();
    // A job that finds a place starts the next ones until one is refused, without a message.
    assert!(!dispatch_on(world, &wire, urgent, &[started(), full()]).await);
    assert!(!dispatch_on(world, &wire, urgent, &[started(), started()]).await, "so does the end of its task");
    for job in [oldest, younger] {
        assert!(world.load_job(&job.id).await.dispatch.starting);
    }
    assert!(!dispatch_on(world, &wire, urgent, &[]).await, "no other job waits any more");
}

#[tokio::test]
async fn only_the_first_job_of_a_full_machine_is_due_soon() {
    let wire = Wire::default();
    let world = &World::on_one_machine(wire.clone()).await;
    let full = response(json!({ "tasks": [], "failures": [{ "reason": "RESOURCE:CPU" }] }));
    let mut waits = Vec::new();
    for number in 0..12 {
        world.ctx.clock.advance(Duration::from_secs(1));
        let job = world.store_job(&Job { place: Placement::Fargate, ..world.plan("machine", number, 1) }).await;
        let answers = if number == 0 { vec![full.clone()] } else { vec![] };
        dispatch_on(world, &wire, &job, &answers).await;
        waits.push(world.load_job(&job.id).await.dispatch.due.since(world.ctx.clock.now()).as_secs());
    }
    assert!(waits[0] <= 20 && waits[1..].iter().all(|secs| *secs >= 600), "{waits:?}");
}

/// Three jobs that wait behind others.
async fn store_waiting_jobs(world: &World) -> Vec<Job> {
    let mut jobs = Vec::new();
    for number in 0..3 {
        world.ctx.clock.advance(Duration::from_secs(1));
        let now = world.ctx.clock.now();
        let job = Job { place: Placement::Fargate, ..world.plan("machine", number, 1) };
        let refused = job.begin_dispatch(now).unwrap().wait_behind(now).unwrap();
        jobs.push(world.store_job(&refused).await);
    }
    jobs
}

fn full() -> Fault {
    response(json!({ "tasks": [], "failures": [{ "reason": "RESOURCE:CPU" }] }))
}

async fn assert_first_two_start(world: &World, jobs: &[Job]) {
    for (job, starting) in jobs.iter().zip([true, true, false]) {
        assert_eq!(world.load_job(&job.id).await.dispatch.starting, starting);
    }
}

#[tokio::test]
async fn restarted_up_starts_the_waiting_jobs_in_their_order() {
    let wire = Wire::default();
    let world = &World::on_one_machine(wire.clone()).await;
    let jobs = store_waiting_jobs(world).await;
    for answer in [started(), started(), full()] {
        wire.fail_next("RunTask", answer);
    }
    start_waiting(&world.ctx).await.unwrap();
    assert_eq!(wire.take_call_count("RunTask"), 3);
    assert_first_two_start(world, &jobs).await;
}

#[tokio::test]
async fn first_hint_after_a_restart_starts_waiting_jobs_in_order() {
    let wire = Wire::default();
    let world = &World::on_one_machine(wire.clone()).await;
    let jobs = store_waiting_jobs(world).await;
    dispatch_on(world, &wire, &jobs[2], &[]).await;
    dispatch_on(world, &wire, &jobs[0], &[started(), started(), full()]).await;
    assert_first_two_start(world, &jobs).await;
}

#[tokio::test]
async fn failed_start_of_a_hinted_job_starts_the_next_one() {
    let wire = Wire::default();
    let world = &World::on_one_machine(wire.clone()).await;
    let mut jobs = Vec::new();
    for number in 0..2 {
        world.ctx.clock.advance(Duration::from_secs(1));
        let mut job = Job { place: Placement::Fargate, ..world.plan("machine", number, 1) };
        // Only a job whose project pays for the model has a breaker here.
        job.policy.model_of = (number == 0).then(|| "claude_code".into());
        jobs.push(world.store_job(&job).await);
    }
    let full = response(json!({ "tasks": [], "failures": [{ "reason": "RESOURCE:CPU" }] }));
    dispatch_on(world, &wire, &jobs[0], &[full]).await;
    dispatch_on(world, &wire, &jobs[1], &[]).await;
    wire.restart(None);
    wire.fail_next("BatchGetItem", Fault::error(400, "AccessDenied"));
    wire.fail_next("RunTask", started());
    dispatch(&world.ctx, &jobs[0].id).await.unwrap_err();
    assert_eq!(wire.take_call_count("RunTask"), 1);
    let starting = [&jobs[0], &jobs[1]].map(async |job| world.load_job(&job.id).await.dispatch.starting);
    assert_eq!(futures::future::join_all(starting).await, [false, true]);
    // The failed one is due, and takes the next place.
    dispatch_on(world, &wire, &jobs[0], &[started()]).await;
}
