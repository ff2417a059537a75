//! Whether an attempt holds its job, for calls that write nothing over it.

use crate::runner::trusted;
use crate::{Context, Error};
use pullyard_domain::job::{Fence, Job};

/// The job, if the attempt holds it and its runner may still work.
pub(crate) async fn held(ctx: &Context, fence: &Fence) -> Result<Job, Error> {
    let job = strongly(ctx, fence).await?;
    if let Some(run) = &job.run {
        trusted(ctx, run).await?;
    }
    Ok(job)
}

/// The job, if the attempt held it a moment ago, for half the price: what the call does then misleads nobody, and
/// the next one is told that the lease is lost. It is never taken for lost from such a look.
pub(crate) async fn held_lately(ctx: &Context, fence: &Fence) -> Result<Job, Error> {
    let read = ctx.store.eventually().job(&fence.job).await?;
    match read.filter(|job| job.held_by(fence).is_ok()) {
        Some(job) => Ok(job),
        None => strongly(ctx, fence).await,
    }
}

async fn strongly(ctx: &Context, fence: &Fence) -> Result<Job, Error> {
    let job = ctx.store.job(&fence.job).await?.ok_or(Error::LeaseLost { recorded: false })?;
    job.held_by(fence).map_err(|refusal| Error::refused(refusal, ctx.clock.now()))?;
    Ok(job)
}
