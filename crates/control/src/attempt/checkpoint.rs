//! Finds the checkpoint from which an attempt resumes.

use crate::jobs::artifacts::find_uploaded_checkpoint;
use crate::jobs::load_leased_job::load_trusted_job;
use crate::{Context, Error};
use pullyard_domain::job::artifact::{Artifact, MissingReason};
use pullyard_domain::job::{Fence, can_resume_work};
use pullyard_domain::text::id::JobId;

/// Limit of retried jobs searched. A job whose agent never ran does not count, because it did not use the checkpoint.
const MAX_RETRIES: usize = 3;
const MAX_JOBS: usize = 50;

#[derive(Clone, Debug)]
pub struct CheckpointLookup {
    pub checkpoint: Option<Checkpoint>,
    pub missing: Option<MissingCheckpoint>,
}

#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub job: JobId,
    pub attempt: u32,
    pub artifact: Artifact,
    /// Short-lived download address, a credential.
    pub address: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingCheckpoint {
    pub job: JobId,
    pub attempt: u32,
    pub reason: MissingReason,
}

/// Returns the newest downloadable checkpoint of an earlier attempt or retried job, and a newer one as missing.
/// Errors: `LeaseLost`.
pub async fn find_checkpoint(ctx: &Context, fence: &Fence) -> Result<CheckpointLookup, Error> {
    let (mut searched, now) = (load_trusted_job(ctx, fence).await?, ctx.clock.now());
    let (mut retries, mut missing) = (0, None);
    for _ in 0..MAX_JOBS {
        for artifacts in ctx.store.list_artifacts(&searched.id).await?.into_iter().rev() {
            let is_earlier = searched.id != fence.job || artifacts.attempt < fence.attempt;
            if !is_earlier || artifacts.checkpoints().next().is_none() {
                continue;
            }
            let (job, attempt) = (searched.id.clone(), artifacts.attempt);
            let new_missing = |reason| MissingCheckpoint { job: job.clone(), attempt, reason };
            if artifacts.is_expired(now) {
                missing.get_or_insert_with(|| new_missing(MissingReason::Expired));
                continue;
            }
            if retries > MAX_RETRIES {
                missing.get_or_insert_with(|| new_missing(MissingReason::TooFarBack));
                return Ok(CheckpointLookup { checkpoint: None, missing });
            }
            let (found, is_missing) = find_uploaded_checkpoint(ctx, &artifacts).await?;
            if is_missing {
                missing.get_or_insert_with(|| new_missing(MissingReason::NotUploaded));
            }
            if let Some((artifact, address)) = found {
                return Ok(CheckpointLookup {
                    checkpoint: Some(Checkpoint { job, attempt, artifact, address }),
                    missing,
                });
            }
        }
        let Some(id) = &searched.retry_of else { break };
        match ctx.store.load_job(id).await? {
            Some(retried) if can_resume_work(&searched, &retried) => {
                retries += usize::from(retried.worked);
                searched = retried;
            }
            _ => break,
        }
    }
    Ok(CheckpointLookup { checkpoint: None, missing })
}
