//! One round of the sweeper: its work, its counts, and its partial failures.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::attempt::{BatchCounts, record_events};
use pullyard_control::runner::record_heartbeat;
use pullyard_control::{Report, sweep};
use pullyard_domain::agent::runner::{Drain, Heartbeat};
use pullyard_domain::job::Placement;
use pullyard_domain::project::budget::Budget;
use pullyard_domain::project::hook::Poll;
use pullyard_domain::review::pull_request::Note;
use pullyard_domain::run::due::{SHARDS, shard};
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::Range;

/// The calls of a round that read the index: after the note of the last round and the runners, one per shard.
const INDEX: Range<usize> = 1 + SHARDS as usize..1 + 2 * SHARDS as usize;

async fn world_refusing_wake_ups() -> World {
    let wire = Wire::default();
    wire.fail_always("SendMessage", Fault::error(400, "AccessDenied"));
    World::with_client(wire).await
}

async fn world_accepting_wake_ups() -> (World, Wire) {
    let wire = Wire::default();
    wire.fail_always("SendMessage", Fault::Refused(200, json!({ "MessageId": "m1" })));
    (World::with_client(wire.clone()).await, wire)
}

#[tokio::test]
async fn gauges_are_counted_once_a_minute_and_retained() {
    let world = World::begin().await;
    world.jobs("one", 1, 1).await;
    let mut counts = Vec::new();
    for secs in [0, 20, 41] {
        world.ctx.clock.advance(Duration::from_secs(secs));
        counts.push(sweep(&world.ctx).await.into_result().unwrap().gauges.is_some());
        let gauges = world.ctx.store.load_sweeper_state().await.unwrap().unwrap().gauges.unwrap();
        assert_eq!(gauges.waiting, 1, "after another {secs} s");
    }
    assert_eq!(counts, [true, false, true]);
}

#[tokio::test]
async fn due_row_costs_no_further_read_of_its_shard() {
    let (world, wire) = world_accepting_wake_ups().await;
    let ctx = &world.ctx;
    let mut job = world.job(&Settings { compute: Compute::Fargate, ..Settings::default() }).await;
    let _ = sweep(ctx).await.into_result().unwrap();
    job.dispatch.due = ctx.clock.now();
    assert_applied(ctx.store.update_job(&job).await);
    ctx.clock.advance(Duration::from_secs(20));
    wire.restart(None);
    assert_eq!(sweep(ctx).await.into_result().unwrap().checked, 1);
    // The shards of the runners and of the index.
    assert_eq!(wire.take_call_count("Query"), 2 * usize::from(SHARDS));
}

#[tokio::test]
async fn gauges_distinguish_waiting_and_running_fargate_jobs() {
    let world = World::begin().await;
    let (ctx, now) = (&world.ctx, world.ctx.clock.now());
    // More jobs than a round reads.
    for job in world.jobs("many", 12, 1).await {
        assert_applied(ctx.store.update_job(&job.move_to(Placement::Fargate, now).unwrap()).await);
        world.claim(&job.id, None).await;
    }
    let waits = world.job(&Settings { compute: Compute::Fargate, ..Settings::default() }).await;
    let gauges = sweep(ctx).await.into_result().unwrap().gauges.expect("complete gauges");
    assert_eq!((gauges.waiting, gauges.oldest, gauges.running), (1, Some(waits.ready_since), 12));
}

#[tokio::test]
async fn gauges_count_runners_by_presence_drain_and_slots() {
    let world = World::begin().await;
    let (ctx, now) = (&world.ctx, world.ctx.clock.now());
    let runners = world.runners(3, 1, 2).await;
    let job = world.jobs("one", 1, 1).await.remove(0);
    world.claim(&job.id, Some(&runners[0])).await;
    let drain = Drain { by: "ana".into(), at: now, acknowledged: None };
    assert_applied(ctx.store.set_drain(&runners[1], Some(&drain)).await);
    let instance = runners[2].instance.clone();
    let sign_off =
        Heartbeat { instance, active_jobs: BTreeSet::new(), draining: false, is_sign_off: true, order: None };
    record_heartbeat(ctx, &world.token, &runners[2].id, &sign_off).await.unwrap();
    let gauges = sweep(ctx).await.into_result().unwrap().gauges.expect("complete gauges");
    assert_eq!((gauges.online, gauges.draining, gauges.offline), (1, 1, 1));
    assert_eq!((gauges.slots_busy, gauges.slots_free), (1, 1), "only the online runner has a free slot");
}

#[tokio::test]
async fn woken_entries_are_limited_by_budget_and_hold() {
    let (world, _) = world_accepting_wake_ups().await;
    let ctx = &world.ctx;
    world.entries_that_wait(5).await;
    let woken = async |settings: Settings| {
        world.set_settings(settings).await;
        ctx.clock.advance(Duration::from_secs(61));
        sweep(ctx).await.into_result().unwrap().woken
    };
    let runners = || Settings { compute: Compute::Runners, ..Settings::default() };
    let two_a_day = Settings { budget: Budget { jobs_per_day: Some(2), ..Budget::default() }, ..runners() };
    assert_eq!(woken(two_a_day.clone()).await, 2);
    assert_eq!(woken(two_a_day.hold("ana", "a freeze")).await, 0);
    assert_eq!(woken(runners()).await, 5);
}

#[tokio::test]
async fn lost_entry_wake_up_is_not_counted_until_repeated() {
    let (world, wire) = world_accepting_wake_ups().await;
    world.entries_that_wait(3).await;
    let round = async || {
        world.ctx.clock.advance(Duration::from_secs(61));
        let report = sweep(&world.ctx).await.into_result().unwrap();
        (report.woken, report.repair_count())
    };
    wire.fail_next("SendMessage", Fault::error(400, "AccessDenied"));
    assert_eq!(round().await, (2, 2));
    assert_eq!(round().await, (3, 3));
}

/// `not_before` and `tries` after a failed wake-up.
type BackOff = (Option<Timestamp>, u32);

async fn store_due_items(world: &World) -> (Poll, PullRequest) {
    let (ctx, repository) = (&world.ctx, world.repository());
    let now = ctx.clock.now();
    let poll = Poll { next: now, ..Poll::new(&repository, now) };
    assert_applied(ctx.store.put_poll(&poll).await);
    let id = PullRequestId { integration: repository.integration, repository: repository.id, number: 7 };
    let mut linked = PullRequest::new(id, world.project.clone(), None, None);
    linked.set_note(Note::Decision { reason: pullyard_domain::text::decision::Reason::EditedReview {} });
    assert_applied(ctx.store.link_if_absent(&linked).await);
    (poll, linked)
}

#[tokio::test]
async fn failing_poll_and_note_wake_ups_back_off() {
    let world = world_refusing_wake_ups().await;
    let ctx = &world.ctx;
    let (poll, linked) = store_due_items(&world).await;
    let put_off = async || -> [BackOff; 2] {
        let poll = ctx.store.load_poll(&poll.project, &poll.integration, poll.repository).await.unwrap().unwrap();
        let linked = ctx.store.load_pull_request(&linked.id).await.unwrap().unwrap();
        [(poll.not_before, poll.tries), (linked.not_before, linked.tries)]
    };
    for (times, secs) in [(1, 60), (2, 120)] {
        let rest = Duration::from_secs(secs);
        let least = ctx.clock.now().plus(rest);
        assert_eq!(sweep(ctx).await.into_result().unwrap().failed, 2);
        let most = ctx.clock.now().plus(rest);
        for (not_before, tries) in put_off().await {
            assert!(not_before.is_some_and(|at| least <= at && at <= most), "{not_before:?}: {least} to {most}");
            assert_eq!(tries, times);
        }
        assert_eq!(sweep(ctx).await.into_result().unwrap().failed, 0, "both are put off");
        ctx.clock.advance(rest);
    }
}

/// Counts of a round: failures, waiting jobs, held entries, and whether the count is incomplete.
fn counts(report: &Report) -> (u32, u32, u32, bool) {
    let gauges = report.gauges.as_ref().unwrap();
    (report.failed, gauges.waiting, gauges.held, gauges.more)
}

#[tokio::test]
async fn any_refused_call_leaves_the_rest_of_the_round_intact() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    let ctx = &world.ctx;
    // Two classes with one job each, and a waiting entry.
    world.jobs("one", 2, 2).await;
    let settings = Settings { compute: Compute::Runners, ..Settings::default() };
    world.set_settings(settings.hold("ana", "a freeze")).await;
    world.entries_that_wait(1).await;
    let round = async |refused: Option<usize>| {
        ctx.clock.advance(Duration::from_secs(61));
        wire.restart(refused.map(|at| (at, Fault::error(400, "AccessDenied"))));
        let swept = sweep(ctx).await;
        (swept, wire.points())
    };
    let load_gauges = async || ctx.store.load_sweeper_state().await.unwrap().unwrap().gauges.unwrap();
    let (swept, all_points) = round(None).await;
    assert_eq!(counts(&swept.into_result().unwrap()), (0, 2, 1, false));
    let (note, end) = (0, all_points.len() - 1);
    let mut by_counts = BTreeMap::<_, usize>::new();
    for at in 0..all_points.len() {
        // A complete round before each, whose gauges stay.
        let _complete_round = round(None).await;
        let before = load_gauges().await;
        let (swept, points) = round(Some(at)).await;
        let last = points.last().map(|point| point.operation.as_str());
        assert_eq!(last, Some("PutItem"), "{at} of {all_points:?}: the round was not noted");
        if at == note || INDEX.contains(&at) {
            assert_eq!(points, all_points, "no call depends on a shard or on the last note");
        }
        assert_eq!(swept.report.failed, 1, "{at} of {all_points:?}: one failure");
        assert_eq!(swept.is_recorded, at != end, "{at} of {all_points:?}");
        // An incomplete count leaves the earlier gauges. The note of the last round is not part of the count.
        let fresh = swept.report.gauges.clone();
        assert_eq!(fresh.is_some(), swept.error.is_none() || [note, end].contains(&at), "{at} of {all_points:?}");
        assert_eq!(
            load_gauges().await,
            fresh.filter(|_| swept.is_recorded).unwrap_or(before),
            "{at} of {all_points:?}"
        );
        match &swept.error {
            None => *by_counts.entry(counts(&swept.report)).or_default() += 1,
            Some(error) => {
                assert!(error.to_string().contains("AccessDenied"), "{at} of {all_points:?}: {error}");
                if [note, end].contains(&at) {
                    assert_eq!(counts(&swept.report), (1, 2, 1, false), "{at} of {all_points:?}");
                }
            }
        }
    }
    let expected = [
        // The project or its classes.
        ((1, 0, 1, true), 2),
        // The jobs of one of the two classes.
        ((1, 1, 1, true), 2),
        // One of the two jobs.
        ((1, 2, 1, false), 2),
        // The project's entries.
        ((1, 2, 0, true), 1),
        // The project's places, or the check whether it may start jobs.
        ((1, 2, 1, true), 2),
    ];
    assert_eq!(by_counts, BTreeMap::from(expected));
}

#[tokio::test]
async fn unreadable_job_marks_the_count_as_incomplete() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    let job = world.job(&Settings { compute: Compute::Fargate, ..Settings::default() }).await;
    let fence = world.claim(&job.id, None).await;
    let round = async |refused: Option<usize>| {
        world.ctx.clock.advance(Duration::from_secs(61));
        wire.restart(None);
        record_events::<()>(&world.ctx, &fence, (1, &[]), BatchCounts::default()).await.unwrap();
        wire.restart(refused.map(|at| (at, Fault::error(400, "AccessDenied"))));
        let gauges = sweep(&world.ctx).await.into_result().unwrap().gauges.unwrap();
        (gauges.running, gauges.more)
    };
    assert_eq!(round(None).await, (1, false));
    // The last call before the note.
    let read = wire.points().len() - 2;
    assert_eq!(round(Some(read)).await, (0, true));
}

#[tokio::test]
async fn failed_requeue_does_not_block_other_jobs_of_a_runner() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 2).await.remove(0);
    world.jobs("one", 2, 1).await;
    for id in ["c1", "c2"] {
        assert!(world.takes(&runner, id).await.unwrap().is_some(), "{id}");
    }
    // The runner is alive but names neither job.
    ctx.clock.advance(Duration::from_secs(70));
    world.beats(&runner, BTreeSet::new()).await;
    wire.fail_next("TransactWriteItems", Fault::error(400, "AccessDenied"));
    for (failed, slots) in [(1, 1), (0, 0)] {
        let report = sweep(ctx).await.into_result().unwrap();
        assert_eq!((report.failed, report.written), (failed, 1), "{report:?}");
        assert_eq!(ctx.store.load_runner(&runner.id).await.unwrap().unwrap().slots.len(), slots);
    }
}

#[tokio::test]
async fn silent_runner_has_one_more_window_after_a_partial_round() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = world.jobs("one", 1, 1).await.remove(0);
    world.claim(&job.id, Some(&runner)).await;
    // A round reads the note of the last round, then the runners shard by shard.
    let other = 1 + usize::from((shard(runner.id.as_str()) + 1) % SHARDS);
    for (minute, lost) in [(0, (0, 0)), (1, (0, 0)), (2, (1, 0)), (3, (0, 0)), (4, (0, 1))] {
        wire.restart((minute == 2).then(|| (other, Fault::error(400, "AccessDenied"))));
        let swept = sweep(ctx).await;
        assert_eq!(swept.error.is_some(), minute == 2);
        let report = swept.report;
        assert_eq!((report.offline, report.written), lost, "minute {minute}: {report:?}");
        ctx.clock.advance(Duration::from_secs(60));
    }
}
