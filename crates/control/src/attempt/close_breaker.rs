//! Lists the open breakers, and closes one early.

use crate::{Context, Error};
use pullyard_domain::agent::breaker::{Breaker, BreakerId};
use pullyard_store::Write;

pub async fn list_open_breakers(ctx: &Context) -> Result<Vec<Breaker>, Error> {
    let now = ctx.clock.now();
    let mut breakers = ctx.store.list_breakers().await?;
    breakers.retain(|breaker| !breaker.is_over(now));
    Ok(breakers)
}

/// Closes a breaker early. Jobs on Fargate notice within five minutes, runners at their next claim.
/// Writes: BREAKER if unchanged since the read.
/// Idempotent: by the account; a missing or ended breaker is no error.
pub async fn close_breaker(ctx: &Context, id: &BreakerId) -> Result<bool, Error> {
    let mut rounds = ctx.retries(id);
    let now = ctx.clock.now();
    while let Some(breaker) = ctx.store.load_breaker(id).await?.filter(|breaker| !breaker.is_over(now)) {
        if ctx.store.put_breaker(&breaker.close(now), Some(&breaker)).await? == Write::Applied {
            tracing::info!(account = %id, "breaker closed by a user");
            return Ok(true);
        }
        rounds.backoff().await?;
    }
    Ok(false)
}
