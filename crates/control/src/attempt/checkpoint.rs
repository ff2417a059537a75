//! What an earlier attempt left for this one to go on from.

use super::held;
use crate::artifacts::{checkpoint_of, kept_by};
use crate::{Context, Error};
use pullyard_domain::artifact::Artifact;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{Fence, goes_on_from};

/// How many jobs back is looked, where each is the retry of the one before.
const MOST_RETRIES: usize = 3;

/// Where a checkpoint is to be got.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The job whose attempt left it.
    pub job: JobId,
    /// That attempt.
    pub attempt: u32,
    /// What it is.
    pub artifact: Artifact,
    /// The way to it, for a short while. A credential.
    pub address: String,
}

/// The newest checkpoint of an earlier attempt whose bytes are there; of a retry, also of the jobs that it does again.
///
/// Errors: `LeaseLost`.
pub async fn checkpoint(ctx: &Context, fence: &Fence) -> Result<Option<Checkpoint>, Error> {
    let mut of = held(ctx, fence).await?;
    for _ in 0..=MOST_RETRIES {
        for kept in kept_by(ctx, &of.id).await?.into_iter().rev() {
            if of.id == fence.job && kept.attempt >= fence.attempt {
                continue;
            }
            let attempt = kept.attempt;
            if let Some((artifact, address)) = checkpoint_of(ctx, kept).await? {
                return Ok(Some(Checkpoint { job: of.id, attempt, artifact, address }));
            }
        }
        let Some(before) = &of.retry_of else { break };
        match ctx.store.job(before).await? {
            Some(before) if goes_on_from(&of, &before) => of = before,
            _ => break,
        }
    }
    Ok(None)
}
