//! What attempts keep in the bucket, and for how long it is shown.

use crate::world::World;
use pullyard_control::{Error, artifact_address, artifacts_of, reserve_artifact};
use pullyard_domain::artifact::{KEPT, Kind, Offer};
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
