//! What attempts keep in the bucket, and for how long it is shown.

use crate::world::{World, applied};
use pullyard_control::attempt::checkpoint;
use pullyard_control::{Error, artifact_address, artifacts_of, reserve_artifact};
use pullyard_domain::artifact::{KEPT, Kind, Offer, WhyMissing};
use pullyard_domain::id::{ArtifactName, Sha256Hex};
use pullyard_domain::project::{Compute, Settings};
use std::time::Duration;

/// The table deletes what has expired when it comes to it, and the bucket its objects.
#[tokio::test]
async fn what_has_expired_is_not_there_though_nobody_deleted_it_yet() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let job = world.job(&Settings { compute: Compute::Fargate, ..Settings::default() }).await;
    let fence = world.claimed(&job.id, None).await;
    let offer = Offer {
        kind: Kind::CheckOutput,
        name: ArtifactName::new("one.txt").unwrap(),
        size_bytes: 1,
        sha256: Sha256Hex::new("0".repeat(64)).unwrap(),
    };
    let place = reserve_artifact(ctx, &fence, &offer).await.unwrap();
    let shown = async || artifacts_of(ctx, &job.id).await.unwrap().len();
    ctx.clock.advance(KEPT.saturating_sub(Duration::from_secs(60)));
    assert_eq!(shown().await, 1);
    ctx.clock.advance(Duration::from_secs(60));
    assert_eq!(shown().await, 0);
    assert!(ctx.store.artifacts(&job.id, fence.attempt).await.unwrap().is_some(), "it was only not deleted");
    let gone = artifact_address(ctx, &job.id, &place.id).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_checkpoint_that_has_expired_is_said_to_be_missing() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let job = world.job(&Settings { compute: Compute::Fargate, ..Settings::default() }).await;
    let fence = world.claimed(&job.id, None).await;
    let offer = Offer {
        kind: Kind::Checkpoint,
        name: ArtifactName::new("checkpoint.tar.zst").unwrap(),
        size_bytes: 1,
        sha256: Sha256Hex::new("0".repeat(64)).unwrap(),
    };
    reserve_artifact(ctx, &fence, &offer).await.unwrap();
    ctx.clock.advance(KEPT);
    let back = world.stored(&job.id).await.requeued(ctx.clock.now()).unwrap();
    applied(ctx.store.update_job(&back).await);
    let next = world.claimed(&job.id, None).await;
    let left = checkpoint(ctx, &next).await.unwrap();
    assert!(left.checkpoint.is_none(), "{left:?}");
    let missing = left.missing.map(|missing| (missing.job, missing.attempt, missing.why));
    assert_eq!(missing, Some((job.id, 1, WhyMissing::Expired)));
}
