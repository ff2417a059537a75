//! Handles heartbeats of self-hosted runners.

use super::{RunnerToken, own};
use crate::{Context, Error};
use pullyard_domain::id::RunnerId;
use pullyard_domain::runner::{Heartbeat, Presence, Runner};
use pullyard_store::Write;

/// Idempotent: a repeat stores a slightly later time.
/// Errors: `NotFound`; `Runner` if another process has replaced this one, or the runner is being removed.
pub async fn heartbeat(ctx: &Context, token: &RunnerToken, id: &RunnerId, said: &Heartbeat) -> Result<Runner, Error> {
    let mut rounds = ctx.rounds(id);
    loop {
        let seen = own(ctx, token, id).await?;
        let heard = seen.with_heartbeat(said.clone(), ctx.clock.now()).map_err(Error::Runner)?;
        if ctx.store.heartbeat(&seen, &heard).await? == Write::Applied {
            if seen.status != heard.status {
                let online = heard.status == Presence::Online;
                tracing::info!(runner = %id, name = %heard.name, online, "runner status changed");
            }
            return Ok(heard);
        }
        rounds.again().await?;
    }
}
