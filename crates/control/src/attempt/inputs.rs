//! What people said to the agent of an attempt.

use super::load_trusted;
use crate::{Context, Error};
use pullyard_domain::job::{Fence, Input};

/// The inputs after this number, oldest first, for the attempt that holds the job.
///
/// Errors: `LeaseLost`.
pub async fn inputs(ctx: &Context, fence: &Fence, after: u32) -> Result<Vec<Input>, Error> {
    load_trusted(ctx, fence).await?;
    Ok(ctx.store.inputs(&fence.job, after).await?)
}
