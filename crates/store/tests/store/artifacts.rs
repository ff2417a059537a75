//! Tests the artifacts of attempts: writes over the revision read, and lists by attempt.

use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_domain::job::artifact::{ArtifactKind, ArtifactReservation, Artifacts, NewArtifact};
use pullyard_domain::text::id::{ArtifactName, Sha256Hex};

/// The artifacts of a job's first attempt with these names; all except the last are marked as stored.
pub(crate) fn artifacts(names: &[&str]) -> Artifacts {
    let mut all = Artifacts::empty(sample::job("one").id, 1, at(1));
    for name in names {
        if let Some(last) = all.kept.last().map(|last| last.id.clone()) {
            all = all.mark_stored(&last).unwrap();
        }
        let sha256 = Sha256Hex::new("ab".repeat(32)).unwrap();
        let name = ArtifactName::new(*name).unwrap();
        let offer = NewArtifact { kind: ArtifactKind::CheckOutput, name, size_bytes: 1_234, sha256 };
        match all.reserve(&offer, at(1)) {
            Ok(ArtifactReservation::New(next, _)) => all = next,
            other => panic!("{other:?}"),
        }
    }
    all
}

/// Writes an item with two artifacts. Boxed, because one caller awaits very many futures in one function.
pub(crate) fn store_two_artifacts(world: &World) -> Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async { world.expect_applied(world.store.put_artifacts(&artifacts(&["a.txt", "b.txt"]))).await })
}

#[tokio::test]
async fn artifacts_are_written_over_the_rev_read() {
    let world = World::new().await;
    let new = artifacts(&["a.txt", "b.txt"]);
    assert_eq!(world.store.put_artifacts(&new).await.unwrap(), Write::Applied);
    assert_eq!(world.store.put_artifacts(&new).await.unwrap(), Write::Stale);
    let stored = world.store.load_artifacts(&new.job, 1).await.unwrap().unwrap();
    assert_eq!(stored, Artifacts { rev: 1, ..new.clone() });
    assert_eq!(stored.kept.iter().map(|artifact| artifact.stored).collect::<Vec<_>>(), [true, false]);
    assert_eq!(world.store.load_artifacts(&new.job, 2).await.unwrap(), None);
}

#[tokio::test]
async fn artifacts_of_a_job_are_listed_by_attempt() {
    let world = World::new().await;
    let job = world.running_job("APP-1", JobStatus::Executing).await;
    for attempt in [2, 1, 10] {
        let new = Artifacts { job: job.id.clone(), attempt, ..artifacts(&["a.txt"]) };
        world.expect_applied(world.store.put_artifacts(&new)).await;
    }
    let found = world.store.list_artifacts(&job.id).await.unwrap();
    assert_eq!(found.iter().map(|artifacts| artifacts.attempt).collect::<Vec<_>>(), [1, 2, 10]);
    assert_eq!(world.store.list_artifacts(&sample::job("other").id).await.unwrap(), []);
    assert_eq!(world.store.list_attempts(&job.id).await.unwrap(), []);
    let ending = world.prepare_end(&job, crate::world::failed_end(), at(300)).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    let attempts = world.store.list_attempts(&job.id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert!(matches!(attempts[0].ended, AttemptEnd::Failed { .. }));
}
