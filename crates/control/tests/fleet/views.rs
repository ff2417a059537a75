//! Views of waiting jobs: they find the runners of a large fleet in one item, which the sweeper stores.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::{job_view, sweep};
use pullyard_store::Store;

/// A job that no runner can claim: it requires the label `kind-1`, and this many runners have `kind-0`.
async fn begin(runners: usize) -> (World, Wire, JobId) {
    let wire = Wire::default();
    wire.fail_always("SendMessage", Fault::error(400, "AccessDenied"));
    let world = World::with_client(wire.clone()).await;
    world.runners(runners, 1, 1).await;
    let job = world.jobs("one", 2, 2).await.remove(1).id;
    (world, wire, job)
}

/// Views the job. Returns whether that reads all runners, and the reason of its wait.
async fn view(world: &World, wire: &Wire, job: &JobId) -> (bool, String) {
    wire.restart(None);
    let waits = job_view(&world.ctx, job).await.unwrap().waits.unwrap();
    (wire.take_call_count("Query") >= Store::runner_shards().len(), waits.sentence())
}

#[tokio::test]
async fn view_finds_a_large_fleet_in_one_item() {
    for (runners, reads_runners) in [(50, true), (51, false)] {
        let (world, wire, job) = begin(runners).await;
        let (reads_first, reason) = view(&world, &wire, &job).await;
        assert!(reads_first && reason.contains("kind-1"), "before the first sweep: {reason}");
        assert_eq!(sweep(&world.ctx).await.into_result().unwrap().failed, 0);
        assert_eq!(view(&world, &wire, &job).await, (reads_runners, reason), "{runners} runners");
    }
}

#[tokio::test]
async fn view_judges_presence_as_of_the_item() {
    // For how long the runners were silent when the sweeper read them.
    for (silent, expected) in [(30, "No online runner with"), (91, "No runner of acme is online")] {
        let (world, wire, job) = begin(51).await;
        world.ctx.clock.advance(Duration::from_secs(silent));
        assert_eq!(sweep(&world.ctx).await.into_result().unwrap().failed, 0);
        world.ctx.clock.advance(Duration::from_secs(100));
        let (reads_runners, reason) = view(&world, &wire, &job).await;
        assert!(!reads_runners && reason.starts_with(expected), "silent for {silent} s: {reason}");
        // The sweeper is late, and the runners are silent.
        world.ctx.clock.advance(Duration::from_secs(81));
        let (reads_runners, reason) = view(&world, &wire, &job).await;
        assert!(reads_runners && reason.starts_with("No runner of acme is online"), "{reason}");
    }
}

#[tokio::test]
async fn fleet_is_stored_at_most_once_in_50_s() {
    let (world, _, _) = begin(51).await;
    let ctx = &world.ctx;
    let mut stored = Vec::new();
    for secs in [0, 5, 50, 5] {
        ctx.clock.advance(Duration::from_secs(secs));
        let before = ctx.store.load_fleet(ctx.clock.now()).await.unwrap();
        assert_eq!(sweep(ctx).await.into_result().unwrap().failed, 0);
        stored.push(ctx.store.load_fleet(ctx.clock.now()).await.unwrap() != before);
    }
    assert_eq!(stored, [true, false, true, false]);
}

#[tokio::test]
async fn round_succeeds_when_the_fleet_is_not_stored() {
    let (world, wire, _) = begin(51).await;
    wire.fail_next("BatchGetItem", Fault::error(400, "AccessDenied"));
    let report = sweep(&world.ctx).await.into_result().unwrap();
    assert!(report.failed == 0 && report.gauges.is_some(), "{report:?}");
    assert_eq!(world.ctx.store.load_fleet(world.ctx.clock.now()).await.unwrap(), None);
}
