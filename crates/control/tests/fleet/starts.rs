//! Dispatch of tasks: changes of the job during RunTask, failed starts, and stopped tasks.

use crate::held::Held;
use crate::world::{World, applied};
use pullyard_control::attempt::start;
use pullyard_control::{Bootstrap, Dispatched, cancel_job, dispatch};
use pullyard_domain::id::{ClaimId, InstanceId, JobId};
use pullyard_domain::job::{DispatchFault, Job, JobStatus};
use pullyard_domain::project::{Compute, Settings};
use pullyard_domain::published::UNKNOWN_ISOLATION;
use pullyard_testkit::{Fault, Wire};
use serde_json::{Value, json};
use std::time::Duration;

const TASK: &str = "arn:aws:ecs:us-east-1:000000000000:task/fleet/1";

/// A scripted successful response of AWS.
fn answered(body: Value) -> Fault {
    Fault::Refused(200, body)
}

fn refused(words: &str) -> Fault {
    Fault::Refused(400, json!({ "__type": "InvalidParameterException", "message": words }))
}

/// A job on Fargate that waits for its dispatch; wake-ups are refused.
async fn waiting(world: &World, wire: &Wire) -> Job {
    wire.always("SendMessage", refused("Nobody is there."));
    world.job(&Settings { compute: Compute::Fargate, ..Settings::default() }).await
}

/// Dispatches a job and runs `meanwhile` before RunTask is sent.
async fn started_while(world: &World, held: &Held, job: &JobId, meanwhile: impl Future<Output = ()>) {
    held.wire.next("RunTask", answered(json!({ "tasks": [{ "taskArn": TASK }], "failures": [] })));
    let started = held.meanwhile(dispatch(&world.ctx, job), meanwhile).await;
    assert_eq!(started.unwrap(), Dispatched::Started);
}

#[tokio::test]
async fn task_name_is_stored_despite_an_input_during_run_task() {
    let held = Held::before("RunTask");
    let world = &World::before(held.clone()).await;
    let job = waiting(world, &held.wire).await;
    let told = async {
        let told = world.stored(&job.id).await.resume_with_input(world.ctx.clock.now()).unwrap();
        applied(world.ctx.store.update_job(&told).await);
    };
    started_while(world, &held, &job.id, told).await;
    let started = world.stored(&job.id).await;
    assert_eq!((started.dispatch.task.as_deref(), started.inputs), (Some(TASK), 1));
}

#[tokio::test]
async fn task_is_stopped_if_its_job_is_cancelled_during_run_task() {
    let held = Held::before("RunTask");
    let world = &World::before(held.clone()).await;
    let job = waiting(world, &held.wire).await;
    // The cancel does not know the task's name.
    let cancelled = async {
        let ended = cancel_job(&world.ctx, &job.id, "ana", None).await.unwrap();
        assert_eq!(ended.status, JobStatus::Cancelled);
    };
    held.wire.next("StopTask", answered(json!({ "task": {} })));
    started_while(world, &held, &job.id, cancelled).await;
    assert_eq!(held.wire.calls("StopTask"), 1);
}

#[tokio::test]
async fn wake_up_starts_no_task_after_the_last_failed_start() {
    let wire = Wire::default();
    let world = World::before(wire.clone()).await;
    let ctx = &world.ctx;
    let mut job = waiting(&world, &wire).await;
    for _ in 0..3 {
        let now = ctx.clock.now();
        let fault = DispatchFault::Refused { reason: "no role".into(), times: 1 };
        job = job.begin_dispatch(now).unwrap();
        job = job.record_start_fault(1, job.dispatch.number, fault, now).unwrap();
    }
    applied(ctx.store.update_job(&job).await);
    // The job is due, but the sweeper has not handled it yet.
    ctx.clock.advance(Duration::from_secs(301));
    assert_eq!(dispatch(ctx, &job.id).await.unwrap(), Dispatched::Nothing);
    assert_eq!(wire.calls("RunTask"), 0);
}

#[tokio::test]
async fn all_tasks_of_a_cancelled_job_are_stopped_with_retries() {
    let wire = Wire::default();
    let world = World::before(wire.clone()).await;
    let ctx = &world.ctx;
    let job = waiting(&world, &wire).await;
    // Dispatched, but without a task name.
    applied(ctx.store.update_job(&job.begin_dispatch(ctx.clock.now()).unwrap()).await);
    cancel_job(ctx, &job.id, "ana", None).await.unwrap();
    let listed = || answered(json!({ "taskArns": [TASK, format!("{TASK}2")] }));
    wire.next("ListTasks", listed());
    wire.next("StopTask", refused("You may not."));
    wire.next("StopTask", answered(json!({ "task": {} })));
    assert!(dispatch(ctx, &job.id).await.is_err(), "the message is retried");
    assert_eq!(wire.calls("StopTask"), 2);
    // A missing task counts as stopped.
    wire.next("ListTasks", listed());
    wire.next("StopTask", refused("The referenced task was not found."));
    wire.next("StopTask", answered(json!({ "task": {} })));
    assert_eq!(dispatch(ctx, &job.id).await.unwrap(), Dispatched::Stopped);
    assert_eq!(wire.calls("StopTask"), 2);
}

/// The task name in the claim of dispatch `number`, for a task that does not know its name. Dispatch 2 is current.
async fn claimed_by(number: u32) -> Option<String> {
    let wire = Wire::default();
    let world = World::before(wire.clone()).await;
    world.connect().await;
    let ctx = &world.ctx;
    let job = waiting(&world, &wire).await;
    let now = ctx.clock.now();
    let first = job.begin_dispatch(now).unwrap().set_task(1, 1, "task-1").unwrap();
    let silent = first.record_start_fault(1, 1, DispatchFault::Silent { times: 1 }, now).unwrap();
    let second = silent.begin_dispatch(now).unwrap().set_task(1, 2, "task-2").unwrap();
    applied(ctx.store.update_job(&second).await);
    let bootstrap = Bootstrap { job: job.id, attempt: 1, dispatch: number, expires: now };
    let (claim, instance) = (ClaimId::new("c1").unwrap(), InstanceId::new("i1").unwrap());
    let begun = start(ctx, &bootstrap, claim, instance, None).await.unwrap();
    assert_eq!(begun.isolation, ctx.task_isolation);
    begun.job.run.unwrap().task
}

#[tokio::test]
async fn unnamed_task_takes_the_name_of_its_own_dispatch_only() {
    assert_eq!(claimed_by(2).await.as_deref(), Some("task-2"));
    assert_eq!(claimed_by(1).await, None);
}

#[tokio::test]
async fn self_hosted_attempt_has_the_isolation_of_its_runner() {
    let world = World::begin().await;
    world.connect().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = world.job(&Settings { compute: Compute::Runners, ..Settings::default() }).await;
    let fence = world.claimed(&job.id, Some(&runner)).await;
    let bootstrap = Bootstrap { job: fence.job, attempt: fence.attempt, dispatch: 0, expires: ctx.clock.now() };
    let begun = start(ctx, &bootstrap, fence.claim, runner.instance, None).await.unwrap();
    assert_eq!(begun.isolation, UNKNOWN_ISOLATION);
}
