//! Jobs that a sweep requeues, unless a heartbeat arrives in time or the token is not the revoked one.

use crate::delayed_call::DelayedCall;
use crate::prelude::*;
use crate::world::{World, token};
use pullyard_control::attempt::set_phase;
use pullyard_control::runner::{Registration, register_runner};
use pullyard_control::{pause_job, sweep};

const MINUTE: Duration = Duration::from_secs(60);

/// Sends a heartbeat with the job after the sweep decided to requeue it and before the write.
/// The runner was silent, or its last heartbeat did not name the job.
async fn check_job_is_retained(silent: bool, status: JobStatus, pauses: bool) {
    let held = DelayedCall::before("TransactWriteItems");
    let world = World::with_client(held.clone()).await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = world.jobs("one", 1, 1).await.remove(0);
    let fence = world.claim(&job.id, Some(&runner)).await;
    for phase in [JobStatus::Preparing, JobStatus::Executing].into_iter().filter(|phase| *phase <= status) {
        set_phase(ctx, &fence, phase, None, None).await.unwrap();
    }
    if pauses {
        pause_job(ctx, &job.id, "ana").await.unwrap();
    }
    if silent {
        for _ in 0..2 {
            sweep(ctx).await.into_result().unwrap();
            ctx.clock.advance(MINUTE);
        }
    } else {
        ctx.clock.advance(MINUTE + Duration::from_secs(10));
        world.beats(&runner, BTreeSet::new()).await;
        ctx.clock.advance(Duration::from_secs(1));
    }
    // The sweep requeues in a transaction.
    let round = held.run_before_call(sweep(ctx), world.beats(&runner, BTreeSet::from([job.id.clone()]))).await;
    let report = round.into_result().unwrap();
    let did = (report.offline, report.written, report.failed);
    assert_eq!(did, (u32::from(silent), 0, 0), "{status:?}, {pauses}: {report:?}");
    world.load_job(&job.id).await.check_fence(&fence).unwrap();
    assert_eq!(ctx.store.load_runner(&runner.id).await.unwrap().unwrap().slots.len(), 1);
}

#[tokio::test]
async fn heartbeat_during_a_sweep_saves_the_job() {
    for silent in [true, false] {
        check_job_is_retained(silent, JobStatus::Preparing, false).await;
        check_job_is_retained(silent, JobStatus::Preparing, true).await;
        check_job_is_retained(silent, JobStatus::Executing, false).await;
    }
}

/// The sweep reads each token once per round for all its runners.
#[tokio::test]
async fn revoked_token_requeues_only_jobs_of_its_own_runners() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let other = RunnerToken { hash: "b".repeat(64), projects: None };
    assert_applied(ctx.store.put_token(&token(&other.hash)).await);
    // Several runners of each token, so that they alternate.
    let mut runners = world.runners(3, 1, 1).await;
    for number in 0..3 {
        let new = Registration {
            name: format!("other-{number}"),
            instance: InstanceId::new(format!("other-{number}")).unwrap(),
            capabilities: BTreeSet::from(["command".into()]),
            labels: BTreeSet::new(),
            version: "0.1.0".into(),
            slots: 1,
            active_jobs: BTreeSet::new(),
            isolation: None,
            offline_secs: None,
            updates: None,
        };
        runners.push(register_runner(ctx, &other, &new).await.unwrap());
    }
    let mut fences: Vec<(Runner, Fence)> = Vec::new();
    for (runner, job) in runners.into_iter().zip(world.jobs("one", 6, 1).await) {
        let fence = world.claim(&job.id, Some(&runner)).await;
        fences.push((runner, fence));
    }
    assert_applied(ctx.store.revoke_token(&other.hash).await);
    let report = sweep(ctx).await.into_result().unwrap();
    assert_eq!((report.written, report.failed), (3, 0), "{report:?}");
    for (runner, fence) in &fences {
        let holds = world.load_job(&fence.job).await.check_fence(fence).is_ok();
        assert_eq!(holds, runner.token == world.token.hash, "{}", runner.name);
    }
}
