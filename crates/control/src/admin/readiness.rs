//! Reports from the sweeper's item whether the deployment works, and its current load.

use crate::{Context, Error};
use pullyard_domain::gauges::{Gauges, SweeperGauges, sweeper_state};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub sweep_age: Option<Duration>,
    pub gauges: Option<Gauges>,
}

pub async fn check_readiness(ctx: &Context) -> Result<SweeperGauges, Error> {
    let last = ctx.store.load_sweeper_state().await.inspect_err(|error| {
        tracing::warn!(error = %error, "table read failed");
    })?;
    Ok(sweeper_state(last.map(|last| last.at), ctx.clock.now()))
}

pub async fn load_snapshot(ctx: &Context) -> Result<Snapshot, Error> {
    let last = ctx.store.load_sweeper_state().await?;
    let swept = last.as_ref().map(|last| ctx.clock.now().since(last.at));
    Ok(Snapshot { sweep_age: swept, gauges: last.and_then(|last| last.gauges) })
}
