//! Attempts that send nothing: the sweeper ends them, and the dispatcher stops their tasks.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::attempt::{BatchCounts, record_events, set_phase};
use pullyard_control::{Error, dispatch, sweep};
use pullyard_domain::agent::runner::Presence;
use pullyard_domain::job::{Cancel, Claim, MAX_STOP_TIME};
use pullyard_domain::project::OfflinePolicy;
use pullyard_domain::run::due;
use pullyard_domain::text::failure::Failure;
use serde_json::{Value, json};

const TASK: &str = "arn:aws:ecs:us-east-1:000000000000:task/fleet/1";
const ROUND: Duration = Duration::from_secs(30);

/// A job whose agent works in a task, and a sweeper that has run for two minutes. Wake-ups are refused.
async fn working_in_a_task(offline: OfflinePolicy) -> (World, Wire, Fence) {
    let wire = Wire::default();
    wire.fail_always("SendMessage", Fault::Refused(400, json!({ "__type": "InvalidParameterException" })));
    let world = World::with_client(wire.clone()).await;
    let settings = Settings { compute: Compute::Fargate, offline, ..Settings::default() };
    world.set_settings(settings.clone()).await;
    for _ in 0..4 {
        pass(&world, ROUND).await;
    }
    let job = world.job(&settings).await;
    let claim = Claim {
        attempt: 1,
        claim: ClaimId::new("c1").unwrap(),
        instance: InstanceId::new("i1").unwrap(),
        runner: None,
        task: Some(TASK.into()),
    };
    assert_applied(world.ctx.store.claim_job(&job.claim(&claim, world.ctx.clock.now()).unwrap()).await);
    let fence = Fence { job: job.id, attempt: 1, claim: claim.claim };
    begin_work(&world, &fence).await;
    (world, wire, fence)
}

async fn begin_work(world: &World, fence: &Fence) {
    for phase in [JobStatus::Preparing, JobStatus::Executing] {
        set_phase(&world.ctx, fence, phase, None, None).await.unwrap();
    }
}

async fn pass(world: &World, time: Duration) {
    world.ctx.clock.advance(time);
    sweep(&world.ctx).await.into_result().unwrap();
}

async fn beat(world: &World, fence: &Fence) -> Result<(), Error> {
    record_events::<Value>(&world.ctx, fence, (1, &[]), BatchCounts::default()).await.map(|_| ())
}

fn failure(job: &Job) -> Option<&'static str> {
    job.failure.as_ref().map(pullyard_domain::text::failure::Failure::code)
}

#[tokio::test]
async fn heartbeat_is_stored_at_most_every_20_s() {
    let (world, _, fence) = working_in_a_task(OfflinePolicy::Fail).await;
    let mut writes = Vec::new();
    for _ in 0..6 {
        world.ctx.clock.advance(Duration::from_secs(10));
        let before = world.load_job(&fence.job).await.rev;
        beat(&world, &fence).await.unwrap();
        writes.push(world.load_job(&fence.job).await.rev - before);
    }
    assert_eq!(writes, [0, 1, 0, 1, 0, 1]);
}

#[tokio::test]
async fn attempt_with_heartbeats_works_on() {
    let (world, _, fence) = working_in_a_task(OfflinePolicy::Fail).await;
    for _ in 0..10 {
        pass(&world, ROUND).await;
        beat(&world, &fence).await.unwrap();
    }
    assert_eq!(world.load_job(&fence.job).await.status, JobStatus::Executing);
}

#[tokio::test]
async fn failed_silent_job_is_due_until_its_task_stops() {
    let (world, wire, fence) = working_in_a_task(OfflinePolicy::Fail).await;
    for _ in 0..3 {
        pass(&world, ROUND).await;
    }
    assert_eq!(world.load_job(&fence.job).await.status, JobStatus::Executing);
    pass(&world, ROUND).await;
    let job = world.load_job(&fence.job).await;
    assert_eq!((job.status, failure(&job)), (JobStatus::Failed, Some("attempt_silent")));
    assert!(matches!(beat(&world, &fence).await, Err(Error::LeaseLost { .. })), "a late message");
    // The message of the end was lost. The next sweep sends another one, which is refused as well.
    assert!(due::job(&job).is_some());
    pass(&world, ROUND).await;
    assert_eq!(world.load_job(&job.id).await.tries, 1);
    wire.fail_next("StopTask", Fault::Refused(400, json!({ "__type": "AccessDeniedException", "message": "No." })));
    assert!(dispatch(&world.ctx, &job.id).await.is_err());
    assert_eq!(world.load_job(&job.id).await.tries, 2);
    wire.fail_next("StopTask", Fault::Refused(200, json!({ "task": {} })));
    dispatch(&world.ctx, &job.id).await.unwrap();
    assert_eq!((wire.take_call_count("StopTask"), due::job(&world.load_job(&job.id).await)), (2, None));
}

#[tokio::test]
async fn stop_that_is_refused_for_a_day_is_abandoned() {
    let (world, wire, fence) = working_in_a_task(OfflinePolicy::Fail).await;
    let refusal = json!({ "__type": "AccessDeniedException", "message": "No." });
    wire.fail_always("StopTask", Fault::Refused(400, refusal));
    let job = world.load_job(&fence.job).await;
    let failed = job.fail(Failure::SpotInterrupted {}, world.ctx.clock.now()).unwrap();
    assert_applied(world.ctx.store.update_job(&failed).await);
    world.ctx.clock.advance(MAX_STOP_TIME - ROUND);
    assert!(dispatch(&world.ctx, &job.id).await.is_err());
    assert!(due::job(&world.load_job(&job.id).await).is_some());
    world.ctx.clock.advance(ROUND);
    dispatch(&world.ctx, &job.id).await.unwrap();
    assert_eq!(due::job(&world.load_job(&job.id).await), None);
}

#[tokio::test]
async fn task_of_a_silent_attempt_is_stopped_before_the_next_start() {
    let (world, wire, fence) = working_in_a_task(OfflinePolicy::Requeue).await;
    for _ in 0..4 {
        pass(&world, ROUND).await;
    }
    let job = world.load_job(&fence.job).await;
    assert_eq!((job.status, job.requeues, job.dispatch.orphan.as_deref()), (JobStatus::Ready, 1, Some(TASK)));
    assert!(matches!(beat(&world, &fence).await, Err(Error::LeaseLost { .. })), "a late message");
    // A task that was not stopped keeps the job from starting a second one.
    wire.fail_next("StopTask", Fault::Refused(400, json!({ "__type": "AccessDeniedException", "message": "No." })));
    assert!(dispatch(&world.ctx, &job.id).await.is_err());
    assert_eq!(wire.take_call_count("RunTask"), 0);
    assert_eq!(due::job(&world.load_job(&job.id).await), due::job(&job), "its start is not postponed");
    wire.fail_next("StopTask", Fault::Refused(200, json!({ "task": {} })));
    wire.fail_next("RunTask", Fault::Refused(200, json!({ "tasks": [{ "taskArn": format!("{TASK}2") }] })));
    dispatch(&world.ctx, &job.id).await.unwrap();
    let job = world.load_job(&fence.job).await;
    assert_eq!((job.dispatch.orphan, job.dispatch.starting), (None, true));
    let calls = wire.points().into_iter().map(|point| point.operation);
    let calls = calls.filter(|operation| operation.ends_with("Task")).collect::<Vec<_>>();
    assert_eq!(calls, ["StopTask", "RunTask"]);
}

#[tokio::test]
async fn silent_attempt_on_a_live_runner_is_ended() {
    let world = World::begin().await;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = world.jobs("one", 1, 1).await.remove(0);
    for _ in 0..4 {
        pass(&world, ROUND).await;
        world.beats(&runner, BTreeSet::new()).await;
    }
    let id = world.takes(&runner, "k1").await.unwrap().unwrap();
    let fence = Fence { job: id, attempt: 1, claim: ClaimId::new("k1").unwrap() };
    begin_work(&world, &fence).await;
    for status in [JobStatus::Executing, JobStatus::Executing, JobStatus::Executing, JobStatus::Failed] {
        world.ctx.clock.advance(ROUND);
        world.beats(&runner, BTreeSet::from([job.id.clone()])).await;
        pass(&world, Duration::ZERO).await;
        assert_eq!(world.load_job(&job.id).await.status, status);
    }
    let ended = world.load_job(&job.id).await;
    assert_eq!((ended.status, failure(&ended)), (JobStatus::Failed, Some("attempt_silent")));
    let stored = world.ctx.store.load_runner(&runner.id).await.unwrap().unwrap();
    assert_eq!((stored.slots.len(), stored.ended_jobs()), (0, BTreeSet::from([job.id])));
}

#[tokio::test]
async fn silent_runner_is_named_instead_of_its_attempt() {
    let world = World::begin().await;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = world.jobs("one", 1, 1).await.remove(0);
    for _ in 0..4 {
        pass(&world, ROUND).await;
        world.beats(&runner, BTreeSet::new()).await;
    }
    let fence =
        Fence { job: world.takes(&runner, "k1").await.unwrap().unwrap(), attempt: 1, claim: "k1".parse().unwrap() };
    begin_work(&world, &fence).await;
    // Its last heartbeat is 20 s younger than the last call of the attempt.
    world.ctx.clock.advance(Duration::from_secs(20));
    world.beats(&runner, BTreeSet::from([job.id.clone()])).await;
    for _ in 0..4 {
        pass(&world, ROUND).await;
    }
    let ended = world.load_job(&job.id).await;
    assert_eq!((ended.status, failure(&ended)), (JobStatus::Failed, Some("runner_offline")));
}

#[tokio::test]
async fn sleeping_runner_with_a_long_time_keeps_its_job() {
    let world = World::begin().await;
    let runner = world.runners_that_state(1, 1, 1, Some(600)).await.remove(0);
    let job = world.jobs("one", 1, 1).await.remove(0);
    for _ in 0..4 {
        pass(&world, ROUND).await;
        world.beats(&runner, BTreeSet::new()).await;
    }
    let id = world.takes(&runner, "k1").await.unwrap().unwrap();
    let fence = Fence { job: id, attempt: 1, claim: ClaimId::new("k1").unwrap() };
    begin_work(&world, &fence).await;
    let active = BTreeSet::from([job.id.clone()]);
    let wake_up = async || {
        world.beats(&runner, active.clone()).await;
        pass(&world, Duration::ZERO).await;
        beat(&world, &fence).await.unwrap();
        assert_eq!(world.load_job(&job.id).await.status, JobStatus::Executing);
    };
    let presence = async || world.ctx.store.load_runner(&runner.id).await.unwrap().unwrap().status;
    for _ in 0..10 {
        pass(&world, ROUND).await;
    }
    assert_eq!(presence().await, Presence::Online);
    wake_up().await;
    // The sweeper pauses while the machine sleeps: its jobs are spared for the same time again.
    world.ctx.clock.advance(Duration::from_secs(300));
    for _ in 0..11 {
        pass(&world, ROUND).await;
    }
    assert_eq!(presence().await, Presence::Offline);
    wake_up().await;
    for _ in 0..22 {
        pass(&world, ROUND).await;
    }
    assert_eq!(failure(&world.load_job(&job.id).await), Some("runner_offline"));
}

#[tokio::test]
async fn attempt_of_a_machine_that_slept_works_on() {
    let (world, _, fence) = working_in_a_task(OfflinePolicy::Fail).await;
    for _ in 0..2 {
        // Longer than the time limit. The sweeper wakes up before the attempt.
        world.ctx.clock.advance(Duration::from_secs(2 * 3_600));
        for _ in 0..2 {
            pass(&world, ROUND).await;
        }
        assert_eq!(world.load_job(&fence.job).await.status, JobStatus::Executing);
        beat(&world, &fence).await.unwrap();
        for _ in 0..10 {
            pass(&world, ROUND).await;
            beat(&world, &fence).await.unwrap();
        }
    }
    assert_eq!(world.load_job(&fence.job).await.status, JobStatus::Executing);
    // If the machine does not wake up, the job ends.
    world.ctx.clock.advance(Duration::from_secs(2 * 3_600));
    for _ in 0..5 {
        pass(&world, ROUND).await;
    }
    assert_eq!(failure(&world.load_job(&fence.job).await), Some("attempt_silent"));
}

#[tokio::test]
async fn repeated_writes_count_one_silent_attempt() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    let mut fences = Vec::new();
    for job in world.jobs("one", 3, 1).await {
        fences.push(world.claim(&job.id, None).await);
    }
    for _ in 0..3 {
        pass(&world, ROUND).await;
    }
    for _ in 0..2 {
        wire.fail_next("TransactWriteItems", Fault::cancelled(&["ConditionalCheckFailed", "None"]));
    }
    for expected in [2, 3] {
        pass(&world, ROUND).await;
        let mut ended = 0;
        for fence in &fences {
            ended += usize::from(world.load_job(&fence.job).await.status == JobStatus::Ready);
        }
        assert_eq!(ended, expected);
    }
}

#[tokio::test]
async fn spared_attempts_block_no_row_behind_them() {
    let world = World::begin().await;
    let shard = |name: &str| due::shard(&format!("JOB#{}", JobId::for_request(&world.project, name, "0")));
    let mut fences = Vec::new();
    // More than a page of the index.
    for name in (0..).map(|number: u32| number.to_string()).filter(|name| shard(name) == 0).take(50) {
        let job = world.jobs(&name, 1, 1).await.remove(0);
        fences.push(world.claim(&job.id, None).await);
    }
    pass(&world, ROUND).await;
    // The cancelled job is due behind the silent ones.
    pass(&world, ROUND).await;
    let now = world.ctx.clock.now();
    let last = world.load_job(&fences[49].job).await;
    let last = last.record_heartbeat(&fences[49], now).unwrap();
    let last = last.cancel(Cancel::new("ana", None, now.plus(Duration::from_secs(5))), now).unwrap();
    assert_applied(world.ctx.store.update_job(&last).await);
    pass(&world, ROUND).await;
    pass(&world, ROUND + Duration::from_secs(10)).await;
    let mut ended = Vec::new();
    for fence in &fences {
        ended.push(world.load_job(&fence.job).await.status);
    }
    assert_eq!(
        (ended[49], ended.iter().filter(|status| **status == JobStatus::Ready).count()),
        (JobStatus::Cancelled, 2)
    );
}
