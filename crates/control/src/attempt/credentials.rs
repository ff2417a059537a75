//! The secrets of an attempt, for as long as it holds its job.

use crate::runner::trusted;
use crate::{Context, Error};
use pullyard_domain::job::Fence;
use std::sync::Arc;

/// The forge token for an attempt.
///
/// Errors: `LeaseLost`; `NoSecret` when the integration's secret is missing.
pub async fn credentials(ctx: &Context, fence: &Fence) -> Result<Arc<str>, Error> {
    let job = ctx.store.job(&fence.job).await?.ok_or(Error::LeaseLost { recorded: false })?;
    let run = job.held_by(fence).map_err(|refusal| Error::refused(refusal, ctx.clock.now()))?;
    trusted(ctx, run).await?;
    let integration = ctx.store.integration(&job.integration).await?;
    let integration =
        integration.ok_or_else(|| Error::Inconsistent(format!("{} names an integration that is gone", job.id)))?;
    Ok(ctx.secrets.get(&integration.token_secret).await?)
}
