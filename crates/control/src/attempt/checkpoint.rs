//! What an earlier attempt left for this one to go on from.

use super::load_trusted;
use crate::artifacts::checkpoint_of;
use crate::{Context, Error};
use pullyard_domain::artifact::{Artifact, WhyMissing};
use pullyard_domain::id::JobId;
use pullyard_domain::job::{Fence, goes_on_from};

/// How many jobs back a checkpoint is given of, where each is the retry of the one before. One in which no agent began
/// is none of them: it had nothing to keep, and may have failed for want of this very checkpoint.
const MOST_RETRIES: usize = 3;
/// How many are looked at in all.
const MOST_JOBS: usize = 50;

#[derive(Clone, Debug)]
pub struct Left {
    /// The newest checkpoint that is to be had.
    pub checkpoint: Option<Checkpoint>,
    /// A newer one that was kept and is not to be had.
    pub missing: Option<Missing>,
}

#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The job whose attempt left it.
    pub job: JobId,
    pub attempt: u32,
    pub artifact: Artifact,
    /// The way to it, for a short while. A credential.
    pub address: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The job whose attempt kept it.
    pub job: JobId,
    pub attempt: u32,
    pub why: WhyMissing,
}

/// The newest checkpoint of an earlier attempt whose bytes are there; of a retry, also of the jobs that it does again.
/// One that was kept after it is said to be missing, as long as its row is there.
///
/// Errors: `LeaseLost`.
pub async fn checkpoint(ctx: &Context, fence: &Fence) -> Result<Left, Error> {
    let (mut of, now) = (load_trusted(ctx, fence).await?, ctx.clock.now());
    let (mut back, mut missing) = (0, None);
    for _ in 0..MOST_JOBS {
        for kept in ctx.store.all_artifacts(&of.id).await?.into_iter().rev() {
            let is_earlier = of.id != fence.job || kept.attempt < fence.attempt;
            if !is_earlier || kept.checkpoints().next().is_none() {
                continue;
            }
            let (job, attempt) = (of.id.clone(), kept.attempt);
            let lost = |why| Missing { job: job.clone(), attempt, why };
            if kept.is_expired(now) {
                missing.get_or_insert_with(|| lost(WhyMissing::Expired));
                continue;
            }
            if back > MOST_RETRIES {
                missing.get_or_insert_with(|| lost(WhyMissing::TooFarBack));
                return Ok(Left { checkpoint: None, missing });
            }
            let (found, is_missing) = checkpoint_of(ctx, &kept).await?;
            if is_missing {
                missing.get_or_insert_with(|| lost(WhyMissing::NotUploaded));
            }
            if let Some((artifact, address)) = found {
                return Ok(Left { checkpoint: Some(Checkpoint { job, attempt, artifact, address }), missing });
            }
        }
        let Some(before) = &of.retry_of else { break };
        match ctx.store.job(before).await? {
            Some(before) if goes_on_from(&of, &before) => {
                back += usize::from(before.worked);
                of = before;
            }
            _ => break,
        }
    }
    Ok(Left { checkpoint: None, missing })
}
