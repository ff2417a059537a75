//! User commands to a self-hosted runner and to its job.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::attempt::{YieldOutcome, YieldReport, set_phase, yield_job};
use pullyard_control::runner::{RemovalState, RunnerCommand, command_runner, remove_runner};
use pullyard_control::{Error, cancel_job, continue_job, job_view, pause_job};
use pullyard_domain::agent::runner::Refusal;
use pullyard_domain::job::{DesiredState, PUSH_WINDOW, SuspendReport, Suspension};

fn drain(by: &str) -> RunnerCommand {
    RunnerCommand::Drain { by: by.into() }
}

#[tokio::test]
async fn drain_names_its_first_requester_until_resumed() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let named = async |order: &RunnerCommand| {
        let response = command_runner(ctx, &runner.id, order).await.unwrap().drain.map(|drain| drain.by);
        let stored = ctx.store.load_runner(&runner.id).await.unwrap().unwrap().drain.map(|drain| drain.by);
        assert_eq!(response, stored);
        stored
    };
    assert_eq!(named(&drain("ana")).await.as_deref(), Some("ana"));
    assert_eq!(named(&drain("bob")).await.as_deref(), Some("ana"));
    for _ in 0..2 {
        assert_eq!(named(&RunnerCommand::Resume).await, None);
    }
    assert_eq!(named(&drain("bob")).await.as_deref(), Some("bob"));
}

#[tokio::test]
async fn runner_being_removed_rejects_commands() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runners = world.runners(2, 1, 1).await;
    world.jobs("one", 1, 1).await;
    let [busy, idle] = &runners[..] else { panic!("two runners") };
    assert!(world.takes(busy, "c1").await.unwrap().is_some());
    assert_eq!(remove_runner(ctx, &busy.id).await.unwrap(), RemovalState::InProgress);
    assert_eq!(remove_runner(ctx, &idle.id).await.unwrap(), RemovalState::Removed);
    for order in [drain("ana"), RunnerCommand::Resume] {
        let refused = command_runner(ctx, &busy.id, &order).await;
        assert!(matches!(refused, Err(Error::Runner(Refusal::Deleting { .. }))), "{refused:?}");
        let missing = command_runner(ctx, &idle.id, &order).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    }
}

#[tokio::test]
async fn paused_runner_yields_its_job_despite_a_late_push_grant() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = world.jobs("one", 1, 1).await.remove(0);
    let fence = world.claim(&job.id, Some(&runner)).await;
    for phase in [JobStatus::Preparing, JobStatus::Executing] {
        set_phase(ctx, &fence, phase, None, None).await.unwrap();
    }
    pause_job(ctx, &job.id, "ana").await.unwrap();
    let request_push = async || set_phase(ctx, &fence, JobStatus::Syncing, Some(0), None).await;
    let response = request_push().await.unwrap();
    assert_eq!((response.want, response.push_window), (DesiredState::Pause, None), "a pause grants no push");
    // The runner's request is delivered a second time, after the job was resumed.
    continue_job(ctx, &job.id).await.unwrap();
    assert!(request_push().await.unwrap().push_window.is_some());
    let yielded = SuspendReport {
        id: FinishId::new("y1").unwrap(),
        suspension: Suspension::Pause,
        agent: None,
        session: None,
        inputs: 0,
    };
    let yield_report = YieldReport { report: yielded, spent_usd_micros: None, work: None };
    for _ in 0..2 {
        assert_eq!(yield_job(ctx, &fence, &yield_report).await.unwrap(), YieldOutcome::Yielded(JobStatus::Ready));
    }
    let back = world.load_job(&job.id).await;
    assert_eq!((back.status, back.requeues, back.push_until), (JobStatus::Ready, 0, None));
    assert!(ctx.store.load_runner(&runner.id).await.unwrap().unwrap().slots.is_empty(), "the slot is free");
    let later = request_push().await;
    assert!(matches!(later, Err(Error::LeaseLost { .. })), "{later:?}");
}

#[tokio::test]
async fn wait_for_the_forge_renews_the_push_window_and_is_explained() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = world.jobs("one", 1, 1).await.remove(0);
    let fence = world.claim(&job.id, Some(&runner)).await;
    set_phase(ctx, &fence, JobStatus::Preparing, None, None).await.unwrap();
    let explain = async || job_view(ctx, &job.id).await.unwrap().waits.map(|wait| wait.code());
    set_phase(ctx, &fence, JobStatus::Preparing, None, Some("error: 502")).await.unwrap();
    assert_eq!(explain().await, Some("forge_away"));
    set_phase(ctx, &fence, JobStatus::Executing, None, None).await.unwrap();
    assert_eq!(explain().await, None);
    set_phase(ctx, &fence, JobStatus::Syncing, Some(0), None).await.unwrap();
    let window_before = world.load_job(&job.id).await.push_until;
    ctx.clock.advance(Duration::from_secs(40));
    let answer = set_phase(ctx, &fence, JobStatus::Syncing, None, Some("error: 502")).await.unwrap();
    assert_eq!(answer.push_window, Some(PUSH_WINDOW));
    assert!(world.load_job(&job.id).await.push_until > window_before);
    assert_eq!(explain().await, Some("forge_away"));
    cancel_job(ctx, &job.id, "ana", None).await.unwrap();
    let renewed_to = world.load_job(&job.id).await.push_until;
    ctx.clock.advance(Duration::from_secs(30));
    let answer = set_phase(ctx, &fence, JobStatus::Syncing, None, Some("error: 502")).await.unwrap();
    assert_eq!((answer.want, world.load_job(&job.id).await.push_until), (DesiredState::Cancel, renewed_to));
}
