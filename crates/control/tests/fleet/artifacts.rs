//! Expiry of artifacts and checkpoints.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::attempt::find_checkpoint;
use pullyard_control::{Error, artifact_url, list_artifacts, reserve_artifact};
use pullyard_domain::job::artifact::{ArtifactKind, MissingReason, NewArtifact, RETENTION};
use pullyard_domain::text::id::{ArtifactId, ArtifactName, Sha256Hex};

/// DynamoDB and S3 delete expired data late.
#[tokio::test]
async fn expired_artifact_is_hidden_before_its_deletion() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let job = fargate_job(&world).await;
    let fence = world.claim(&job.id, None).await;
    let id = reserve(&world, &fence, ArtifactKind::CheckOutput).await;
    let listed_count = async || list_artifacts(ctx, &job.id).await.unwrap().len();
    ctx.clock.advance(RETENTION.saturating_sub(Duration::from_secs(60)));
    assert_eq!(listed_count().await, 1);
    ctx.clock.advance(Duration::from_secs(60));
    assert_eq!(listed_count().await, 0);
    assert!(ctx.store.load_artifacts(&job.id, fence.attempt).await.unwrap().is_some(), "the item still exists");
    let result = artifact_url(ctx, &job.id, &id).await;
    assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
}

async fn fargate_job(world: &World) -> Job {
    world.job(&Settings { compute: Compute::Fargate, ..Settings::default() }).await
}

async fn reserve(world: &World, fence: &Fence, kind: ArtifactKind) -> ArtifactId {
    let offer = NewArtifact {
        kind,
        name: ArtifactName::new("one.bin").unwrap(),
        size_bytes: 1,
        sha256: Sha256Hex::new("0".repeat(64)).unwrap(),
    };
    reserve_artifact(&world.ctx, fence, &offer).await.unwrap().id
}

async fn next_attempt(world: &World, job: &Job) -> Fence {
    let back = world.load_job(&job.id).await.requeue(world.ctx.clock.now()).unwrap();
    assert_applied(world.ctx.store.update_job(&back).await);
    world.claim(&job.id, None).await
}

#[tokio::test]
async fn newest_earlier_expired_checkpoint_is_reported_missing() {
    let world = World::begin().await;
    let job = fargate_job(&world).await;
    let first = world.claim(&job.id, None).await;
    reserve(&world, &first, ArtifactKind::Checkpoint).await;
    let second = next_attempt(&world, &job).await;
    reserve(&world, &second, ArtifactKind::Checkpoint).await;
    world.ctx.clock.advance(RETENTION);
    let third = next_attempt(&world, &job).await;
    // The attempt's own checkpoint is only for later attempts.
    reserve(&world, &third, ArtifactKind::Checkpoint).await;
    let lookup = find_checkpoint(&world.ctx, &third).await.unwrap();
    assert!(lookup.checkpoint.is_none(), "{lookup:?}");
    let missing = lookup.missing.map(|missing| (missing.job, missing.attempt, missing.reason));
    assert_eq!(missing, Some((job.id, 2, MissingReason::Expired)));
}

#[tokio::test]
async fn other_expired_artifacts_report_no_missing_checkpoint() {
    let world = World::begin().await;
    let job = fargate_job(&world).await;
    let first = world.claim(&job.id, None).await;
    reserve(&world, &first, ArtifactKind::CheckOutput).await;
    world.ctx.clock.advance(RETENTION);
    let second = next_attempt(&world, &job).await;
    let lookup = find_checkpoint(&world.ctx, &second).await.unwrap();
    assert!(lookup.checkpoint.is_none() && lookup.missing.is_none(), "{lookup:?}");
}
