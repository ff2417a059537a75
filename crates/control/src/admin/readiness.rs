//! Reports from the sweeper's item whether the deployment works, and its current load.

use crate::{Context, Error};
use pullyard_domain::gauges::{Gauges, SweeperGauges, sweeper_state};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub swept: Option<Duration>,
    pub gauges: Option<Gauges>,
}

pub async fn readiness(ctx: &Context) -> Result<SweeperGauges, Error> {
    let last = ctx.store.sweeps().await.inspect_err(|error| {
        tracing::warn!(error = %error, "table read failed");
    })?;
    Ok(sweeper_state(last.map(|last| last.at), ctx.clock.now()))
}

pub async fn snapshot(ctx: &Context) -> Result<Snapshot, Error> {
    let last = ctx.store.sweeps().await?;
    let swept = last.as_ref().map(|last| ctx.clock.now().since(last.at));
    Ok(Snapshot { swept, gauges: last.and_then(|last| last.gauges) })
}
