//! Handles heartbeats of self-hosted runners.

use super::{RunnerToken, load_own_runner};
use crate::{Context, Error};
use pullyard_domain::agent::runner::{Heartbeat, Presence, Runner};
use pullyard_domain::text::id::RunnerId;
use pullyard_store::Write;

/// Idempotent: a repeat stores a slightly later time.
/// Errors: `NotFound`; `Runner` if another process has replaced this one, or the runner is being removed.
pub async fn record_heartbeat(
    ctx: &Context,
    token: &RunnerToken,
    id: &RunnerId,
    heartbeat: &Heartbeat,
) -> Result<Runner, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let previous = load_own_runner(ctx, token, id).await?;
        let next = previous.with_heartbeat(heartbeat.clone(), ctx.clock.now()).map_err(Error::Runner)?;
        if ctx.store.record_heartbeat(&previous, &next).await? == Write::Applied {
            if previous.status != next.status {
                let online = next.status == Presence::Online;
                tracing::info!(runner = %id, name = %next.name, online, "runner status changed");
            }
            return Ok(next);
        }
        rounds.backoff().await?;
    }
}
