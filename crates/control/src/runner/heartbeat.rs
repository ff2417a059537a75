//! Handles heartbeats of self-hosted runners.

use super::{RunnerToken, load_own_runner};
use crate::{Context, Error};
use pullyard_domain::id::RunnerId;
use pullyard_domain::runner::{Heartbeat, Presence, Runner};
use pullyard_store::Write;

/// Idempotent: a repeat stores a slightly later time.
/// Errors: `NotFound`; `Runner` if another process has replaced this one, or the runner is being removed.
pub async fn record_heartbeat(
    ctx: &Context,
    token: &RunnerToken,
    id: &RunnerId,
    said: &Heartbeat,
) -> Result<Runner, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let seen = load_own_runner(ctx, token, id).await?;
        let heard = seen.with_heartbeat(said.clone(), ctx.clock.now()).map_err(Error::Runner)?;
        if ctx.store.record_heartbeat(&seen, &heard).await? == Write::Applied {
            if seen.status != heard.status {
                let online = heard.status == Presence::Online;
                tracing::info!(runner = %id, name = %heard.name, online, "runner status changed");
            }
            return Ok(heard);
        }
        rounds.backoff().await?;
    }
}
