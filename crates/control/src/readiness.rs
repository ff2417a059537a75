//! Whether the deployment can do its work, and what it is doing: one item answers both.

use crate::{Context, Error};
use pullyard_domain::gauges::{Gauges, Sweeping, sweeping};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How long ago its last round was; none before the first.
    pub swept: Option<Duration>,
    /// What the deployment was doing; none before the first look.
    pub gauges: Option<Gauges>,
}

/// How it stands with the sweeper. That it can be told means that the table can be read.
///
/// Errors: the table's.
pub async fn readiness(ctx: &Context) -> Result<Sweeping, Error> {
    let last = ctx.store.sweeps().await.inspect_err(|error| {
        tracing::warn!(error = %error, "the table could not be read");
    })?;
    Ok(sweeping(last.map(|last| last.at), ctx.clock.now()))
}

pub async fn snapshot(ctx: &Context) -> Result<Snapshot, Error> {
    let last = ctx.store.sweeps().await?;
    let swept = last.as_ref().map(|last| ctx.clock.now().since(last.at));
    Ok(Snapshot { swept, gauges: last.and_then(|last| last.gauges) })
}
