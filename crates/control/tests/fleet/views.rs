//! Views of waiting jobs: they find the runners of a large fleet in one item, which the sweeper stores.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::{job_view, sweep};
use pullyard_domain::fleet::FleetSnapshot;
use pullyard_store::{Store, Write};

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
async fn view_reads_all_runners_when_the_sweeper_is_late() {
    let (world, wire, job) = begin(51).await;
    assert_eq!(sweep(&world.ctx).await.into_result().unwrap().failed, 0);
    // The stored runners grow silent.
    for (secs, reads_runners) in [(150, false), (31, true)] {
        world.ctx.clock.advance(Duration::from_secs(secs));
        let (reads, reason) = view(&world, &wire, &job).await;
        assert_eq!(reads, reads_runners, "after another {secs} s");
        assert!(reason.starts_with("No runner of acme is online"), "{reason}");
    }
}

#[tokio::test]
async fn stored_reason_names_runners_that_the_item_lacks() {
    let (world, wire, job) = begin(0).await;
    let ctx = &world.ctx;
    ctx.clock.advance(Settings::default().limits.max_unclaimed());
    // The item of another sweeper, whose clock is ahead.
    let fleet = FleetSnapshot { at: ctx.clock.now().plus(Duration::from_secs(60)), members: Vec::new() };
    assert_eq!(ctx.store.put_fleet(&fleet).await.unwrap(), Some(Write::Applied));
    world.runners(1, 1, 1).await;
    assert_eq!(view(&world, &wire, &job).await, (false, "No runner is registered for acme.".to_owned()));
    assert_eq!(sweep(ctx).await.into_result().unwrap().failed, 0);
    let failure = format!("{:?}", world.load_job(&job).await.failure);
    assert!(failure.contains("NeverClaimed") && failure.contains("kind-1"), "{failure}");
}
