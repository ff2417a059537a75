//! Loads a job and checks that an attempt holds it.

use crate::runner::check_runner_trust;
use crate::{Context, Error};
use pullyard_domain::job::{Fence, Job};

/// Errors: `LeaseLost` if the job is gone.
pub(crate) async fn load_job_of(ctx: &Context, fence: &Fence) -> Result<Job, Error> {
    ctx.store.load_job(&fence.job).await?.ok_or(Error::LeaseLost { recorded: false })
}

/// Errors: `LeaseLost` if the attempt does not hold the job.
pub(crate) async fn load_leased_job(ctx: &Context, fence: &Fence) -> Result<Job, Error> {
    let job = load_job_of(ctx, fence).await?;
    job.check_fence(fence).map_err(|refusal| Error::from_refusal(refusal, ctx.clock.now()))?;
    Ok(job)
}

/// Like `load_leased_job`, but also checks that the runner is still trusted. Use it for calls that return secrets.
pub(crate) async fn load_trusted_job(ctx: &Context, fence: &Fence) -> Result<Job, Error> {
    let job = load_leased_job(ctx, fence).await?;
    check_runner_trust(ctx, &job).await?;
    Ok(job)
}
