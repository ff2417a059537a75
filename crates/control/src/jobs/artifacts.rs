//! Stores artifacts: the row, the object, then the `stored` mark. After a crash, the next reader checks the bucket.

use crate::jobs::load_leased_job::{load_leased_job, load_trusted_job};
use crate::{Context, Error};
use pullyard_cloud::Upload;
use pullyard_domain::job::Fence;
use pullyard_domain::job::artifact::{
    Artifact, ArtifactRefusal, ArtifactReservation, Artifacts, NewArtifact, object_key,
};
use pullyard_domain::text::id::{ArtifactId, JobId};
use pullyard_store::Write;

#[derive(Clone, Debug)]
pub struct ArtifactUpload {
    pub id: ArtifactId,
    pub upload: Option<Upload>,
}

/// Reserves an id and an upload address for an artifact of the attempt that holds the job. Not fenced by the job's
/// revision: an attempt that is losing its lease may still get them, under its own number.
/// Idempotent: by kind and name; a repeat gets a new address until the object is stored.
/// Errors: `LeaseLost`; `Artifact` if a limit is reached or another artifact has the name.
pub async fn reserve_artifact(ctx: &Context, fence: &Fence, offer: &NewArtifact) -> Result<ArtifactUpload, Error> {
    load_trusted_job(ctx, fence).await?;
    let mut rounds = ctx.retries(&fence.job);
    let artifact = loop {
        let now = ctx.clock.now();
        let artifacts = ctx.store.load_artifacts(&fence.job, fence.attempt).await?;
        let artifacts = artifacts.unwrap_or_else(|| Artifacts::empty(fence.job.clone(), fence.attempt, now));
        match artifacts.reserve(offer, now) {
            Ok(ArtifactReservation::Existing(before)) => break before,
            Ok(ArtifactReservation::New(next, reserved)) => {
                if ctx.store.put_artifacts(&next).await? == Write::Applied {
                    break reserved;
                }
                rounds.backoff().await?;
            }
            Err(refusal) => return Err(Error::Artifact(refusal)),
        }
    };
    let upload = if artifact.stored {
        None
    } else {
        let key = object_key(&fence.job, fence.attempt, &artifact.id);
        Some(ctx.objects.presign_upload(&key, &artifact).await?)
    };
    Ok(ArtifactUpload { id: artifact.id, upload })
}

/// Idempotent: by the artifact.
/// Errors: `LeaseLost`; `NotFound` if the id was not reserved; `Artifact` if the object is missing.
pub async fn mark_artifact_stored(ctx: &Context, fence: &Fence, id: &ArtifactId) -> Result<(), Error> {
    load_leased_job(ctx, fence).await?;
    let artifacts = ctx.store.load_artifacts(&fence.job, fence.attempt).await?.ok_or_else(|| artifact_not_found(id))?;
    verify_uploaded(ctx, artifacts, id).await.map(drop)
}

pub async fn list_artifacts(ctx: &Context, job: &JobId) -> Result<Vec<(u32, Artifact)>, Error> {
    let artifacts = list_unexpired_artifacts(ctx, job).await?;
    Ok(artifacts
        .into_iter()
        .flat_map(|artifacts| artifacts.kept.into_iter().map(move |artifact| (artifacts.attempt, artifact)))
        .collect())
}

/// Errors: `NotFound`; `Artifact` if the object was never uploaded.
pub async fn artifact_url(ctx: &Context, job: &JobId, id: &ArtifactId) -> Result<String, Error> {
    let artifacts =
        list_unexpired_artifacts(ctx, job).await?.into_iter().find(|artifacts| artifacts.find(id).is_some());
    let artifacts = artifacts.ok_or_else(|| artifact_not_found(id))?;
    let key = object_key(job, artifacts.attempt, id);
    let artifact = verify_uploaded(ctx, artifacts, id).await?;
    Ok(ctx.objects.presign_download(&key, &artifact).await?)
}

/// The first `max_bytes` bytes of an artifact. `None` if the object was never uploaded.
pub async fn read_artifact(
    ctx: &Context,
    job: &JobId,
    attempt: u32,
    artifact: &Artifact,
    max_bytes: usize,
) -> Result<Option<Vec<u8>>, Error> {
    Ok(ctx.objects.read(&object_key(job, attempt, &artifact.id), max_bytes).await?)
}

/// Returns the newest uploaded checkpoint with its address, and whether a newer one was never uploaded.
pub(crate) async fn find_uploaded_checkpoint(
    ctx: &Context,
    artifacts: &Artifacts,
) -> Result<(Option<(Artifact, String)>, bool), Error> {
    let ids: Vec<ArtifactId> = artifacts.checkpoints().map(|checkpoint| checkpoint.id.clone()).collect();
    let mut is_missing = false;
    for id in ids {
        match verify_uploaded(ctx, artifacts.clone(), &id).await {
            Ok(artifact) => {
                let address = ctx
                    .objects
                    .presign_download(&object_key(&artifacts.job, artifacts.attempt, &id), &artifact)
                    .await?;
                return Ok((Some((artifact, address)), is_missing));
            }
            Err(Error::Artifact(ArtifactRefusal::Missing)) => is_missing = true,
            Err(error) => return Err(error),
        }
    }
    Ok((None, is_missing))
}

fn artifact_not_found(id: &ArtifactId) -> Error {
    Error::not_found("artifact", id)
}

/// Omits expired rows that DynamoDB has not deleted yet, because the bucket may have deleted their objects.
async fn list_unexpired_artifacts(ctx: &Context, job: &JobId) -> Result<Vec<Artifacts>, Error> {
    let now = ctx.clock.now();
    let mut all = ctx.store.list_artifacts(job).await?;
    all.retain(|artifacts| !artifacts.is_expired(now));
    Ok(all)
}

async fn verify_uploaded(ctx: &Context, mut artifacts: Artifacts, id: &ArtifactId) -> Result<Artifact, Error> {
    let (job, attempt) = (artifacts.job.clone(), artifacts.attempt);
    let artifact = artifacts.find(id).cloned().ok_or_else(|| artifact_not_found(id))?;
    if artifact.stored {
        return Ok(artifact);
    }
    let size = ctx.objects.size(&object_key(&job, attempt, id)).await?;
    if size != Some(artifact.size_bytes) {
        return Err(Error::Artifact(ArtifactRefusal::Missing));
    }
    let mut rounds = ctx.retries(&job);
    while let Some(next) = artifacts.mark_stored(id) {
        if ctx.store.put_artifacts(&next).await? == Write::Applied {
            break;
        }
        rounds.backoff().await?;
        artifacts = ctx.store.load_artifacts(&job, attempt).await?.ok_or_else(|| artifact_not_found(id))?;
    }
    Ok(artifact)
}
