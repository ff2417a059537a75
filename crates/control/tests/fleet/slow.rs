//! Rounds of the sweeper with slow or hanging calls.

use crate::prelude::*;
use crate::world::World;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use pullyard_control::{Clock, Counter, create_project, hold_project, release_project, sweep};
use pullyard_domain::agent::runner::Presence;
use pullyard_domain::project::Repository;
use pullyard_domain::project::hook::Poll;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

const MESSAGE_TIME: Duration = Duration::from_secs(5);

const MINUTE: Duration = Duration::from_secs(60);

/// Advances the clock by `MESSAGE_TIME` for each call of one operation, and refuses messages.
#[derive(Clone, Debug)]
struct SlowClient {
    operation: &'static str,
    wire: Wire,
    clock: Arc<OnceLock<Clock>>,
}

impl HttpClient for SlowClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.wire.http_connector(settings, components);
        let (operation, clock) = (self.operation, Arc::clone(&self.clock));
        SharedHttpConnector::new(SlowConnector { operation, clock, inner })
    }
}

#[derive(Debug)]
struct SlowConnector {
    operation: &'static str,
    clock: Arc<OnceLock<Clock>>,
    inner: SharedHttpConnector,
}

impl HttpConnector for SlowConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
        if let Some(clock) = self.clock.get().filter(|_| target == Some(self.operation)) {
            clock.advance(MESSAGE_TIME);
        }
        self.inner.call(request)
    }
}

async fn world_with_slow_messages() -> World {
    world_with_slow("SendMessage").await
}

async fn world_with_slow(operation: &'static str) -> World {
    let slow = SlowClient { operation, wire: Wire::default(), clock: Arc::default() };
    slow.wire.fail_always("SendMessage", Fault::error(400, "AccessDenied"));
    let clock = Arc::clone(&slow.clock);
    let world = World::with_clock(slow, Clock::default()).await;
    clock.set(world.ctx.clock.clone()).unwrap();
    world
}

async fn store_due_polls(world: &World, count: u64, at: Timestamp) -> Vec<u64> {
    let ids: Vec<u64> = (1..=count).collect();
    for id in &ids {
        let repository = Repository { id: *id, ..world.repository() };
        let poll = Poll { next: at, ..Poll::new(&repository, at) };
        assert_applied(world.ctx.store.put_poll(&poll).await);
    }
    ids
}

/// Failed wake-ups per repository.
async fn tries(world: &World, repositories: &[u64]) -> Vec<u32> {
    let mut tries = Vec::new();
    for id in repositories {
        let poll = world.ctx.store.load_poll(&world.project, &world.repository().integration, *id).await.unwrap();
        tries.push(poll.unwrap().tries);
    }
    tries
}

#[tokio::test]
async fn slow_messages_leave_work_to_later_rounds() {
    let world = world_with_slow_messages().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let repositories = store_due_polls(&world, 20, ctx.clock.now()).await;
    ctx.clock.advance(MINUTE * 2);
    let mut rounds = 0;
    loop {
        let (began, now) = (ctx.clock.monotonic(), ctx.clock.now());
        let round = sweep(ctx).await;
        let took = ctx.clock.monotonic() - began;
        assert!(round.is_recorded && took < MINUTE, "it took {took:?}");
        let noted = ctx.store.load_sweeper_state().await.unwrap().unwrap().at;
        assert!(noted.since(now) < MESSAGE_TIME, "the note has the round's start: {now}, {noted}");
        let report = round.into_result().unwrap();
        assert!(report.failed == report.checked && report.gauges.is_some(), "incomplete gauges: {report:?}");
        assert_eq!(report.offline, u32::from(rounds == 0), "{report:?}");
        if rounds == 0 {
            assert!(report.has_more && report.checked < 20, "{report:?}");
            assert_eq!(ctx.store.load_runner(&runner.id).await.unwrap().unwrap().status, Presence::Offline);
        }
        rounds += 1;
        ctx.clock.advance(MINUTE.saturating_sub(took));
        let tries = tries(&world, &repositories).await;
        if tries.iter().all(|tries| *tries > 0) {
            break;
        }
        assert!(rounds < 40, "some were not reached: {tries:?}");
    }
    assert!(rounds > 1);
}

#[tokio::test]
async fn silent_runner_loses_its_job_despite_slow_rounds() {
    let world = world_with_slow_messages().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = world.jobs("one", 1, 1).await.remove(0);
    world.claim(&job.id, Some(&runner)).await;
    store_due_polls(&world, 20, ctx.clock.now().plus(MINUTE / 2)).await;
    for (minute, lost) in [(0, 0), (1, 0), (2, 1)] {
        let began = ctx.clock.monotonic();
        let report = sweep(ctx).await.into_result().unwrap();
        assert_eq!((report.offline, report.written), (lost, lost), "minute {minute}: {report:?}");
        ctx.clock.advance(MINUTE.saturating_sub(ctx.clock.monotonic() - began));
    }
}

#[tokio::test]
async fn waiting_entries_are_woken_within_the_time_limit() {
    let world = world_with_slow_messages().await;
    let ctx = &world.ctx;
    world.entries_that_wait(30).await;
    let began = ctx.clock.monotonic();
    let round = sweep(ctx).await;
    let took = ctx.clock.monotonic() - began;
    assert!(round.is_recorded && MESSAGE_TIME <= took && took < MINUTE, "only some are tried: it took {took:?}");
    assert_eq!(round.into_result().unwrap().woken, 0, "all messages were refused");
}

#[tokio::test]
async fn hanging_message_does_not_block_the_round() {
    let wire = Wire::default();
    wire.fail_next("SendMessage", Fault::StopBefore);
    wire.fail_always("SendMessage", Fault::error(400, "AccessDenied"));
    let world = World::with_clock(wire, Clock::default()).await;
    let repositories = store_due_polls(&world, 2, world.ctx.clock.now()).await;
    let began = Instant::now();
    let round = sweep(&world.ctx).await;
    assert!(round.is_recorded && began.elapsed() < MINUTE, "it took {:?}", began.elapsed());
    assert_eq!((round.report.checked, round.report.failed), (2, 2), "{:?}", round.report);
    assert_eq!(tries(&world, &repositories).await, [1, 1], "both are put off");
}

/// Each message alone would time out after a minute.
#[tokio::test]
async fn release_returns_while_wake_ups_hang() {
    let wire = Wire::default();
    wire.fail_always("SendMessage", Fault::StopBefore);
    let world = World::with_clock(wire, Clock::default()).await;
    let ctx = &world.ctx;
    hold_project(ctx, &world.project, "ana", "a reason").await.unwrap();
    world.entries_that_wait(3).await;
    let released = tokio::time::timeout(MINUTE / 2, release_project(ctx, &world.project)).await.unwrap().unwrap();
    assert_eq!(released.settings.held_by, None);
    let lost =
        ctx.counters().take().into_iter().find(|(counter, _)| *counter == Counter::WakeupLost).map(|(_, count)| count);
    assert!(lost >= Some(1), "{lost:?}");
    assert_eq!(ctx.store.list_held(&world.project, 10).await.unwrap().len(), 3, "the entries wait for the sweeper");
}

#[tokio::test]
async fn failing_waiting_jobs_block_none_behind_them() {
    let wire = Wire::default();
    let world = World::with_clock(wire.clone(), Clock::default()).await;
    world.jobs("one", 60, 1).await;
    world.ctx.clock.advance(MINUTE * 60 * 24);
    for _ in 0..40 {
        wire.fail_next("PutItem", Fault::error(400, "AccessDenied"));
    }
    let report = sweep(&world.ctx).await.into_result().unwrap();
    assert_eq!((report.checked, report.failed, report.written, report.has_more), (20, 40, 20, false));
}

/// Each moved job sends a message.
#[tokio::test]
async fn waiting_jobs_are_moved_over_several_rounds() {
    let world = world_with_slow_messages().await;
    let ctx = &world.ctx;
    let class = world.jobs("one", 60, 1).await.remove(0).class;
    world.set_settings(Settings { compute: Compute::Fargate, ..Settings::default() }).await;
    ctx.clock.advance(MINUTE * 2);
    let (mut remaining, mut rounds, mut cursors) = (60, 0, Vec::new());
    while remaining > 0 {
        assert!(sweep(ctx).await.is_recorded && rounds < 30);
        // The next round follows within the minute and continues behind the last row.
        let state = ctx.store.load_sweeper_state().await.unwrap().unwrap();
        cursors.extend(state.ready_cursors.into_values().map(|row| (row.order, row.job)));
        remaining = ctx.store.list_ready_jobs(&class, 100).await.unwrap().len();
        rounds += 1;
        assert_eq!(cursors.len(), rounds - usize::from(remaining == 0));
    }
    assert!(cursors.is_sorted() && rounds > 1, "{cursors:?}");
}

#[tokio::test]
async fn unlisted_classes_are_swept_from_their_cursors() {
    let world = world_with_slow("GetItem").await;
    let ctx = &world.ctx;
    let class = world.jobs("one", 12, 1).await.remove(0).class;
    // Each project needs slow reads, so one round lists about two projects, in any order.
    for number in 0..7 {
        let id = ProjectId::new(format!("p{number}")).unwrap();
        create_project(ctx, None, id, "Another".into(), Settings::default()).await.unwrap();
    }
    ctx.clock.advance(MINUTE * 60 * 24);
    let mut cursors = Vec::new();
    while !ctx.store.list_ready_jobs(&class, 1).await.unwrap().is_empty() {
        assert!(sweep(ctx).await.is_recorded && cursors.len() < 300);
        let state = ctx.store.load_sweeper_state().await.unwrap().unwrap();
        cursors.push(state.ready_cursors.get(&class).map(|row| (row.order, row.job.clone())));
        ctx.clock.advance(MINUTE);
    }
    // The last round finished the class.
    cursors.pop();
    assert!(cursors.is_sorted() && cursors.iter().flatten().count() > 1, "{cursors:?}");
}
