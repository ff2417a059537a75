//! Lists the inputs of an attempt's agent.

use crate::jobs::load_leased_job::load_trusted_job;
use crate::{Context, Error};
use pullyard_domain::job::{Fence, Input};

/// Errors: `LeaseLost`.
pub async fn list_inputs(ctx: &Context, fence: &Fence, after: u32) -> Result<Vec<Input>, Error> {
    load_trusted_job(ctx, fence).await?;
    Ok(ctx.store.list_inputs(&fence.job, after).await?)
}
