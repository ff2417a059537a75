//! What people said to the agent of an attempt.

use crate::{Context, Error};
use pullyard_domain::job::{Fence, Input};

/// The inputs after this number, oldest first, for the attempt that holds the job.
///
/// Errors: `LeaseLost`.
pub async fn inputs(ctx: &Context, fence: &Fence, after: u32) -> Result<Vec<Input>, Error> {
    let job = ctx.store.job(&fence.job).await?.ok_or(Error::LeaseLost { recorded: false })?;
    job.held_by(fence).map_err(|refusal| Error::refused(refusal, ctx.clock.now()))?;
    Ok(ctx.store.inputs(&fence.job, after).await?)
}
