//! People see which accounts of models are left alone, and let one be asked again before its time.

use crate::{Context, Error};
use pullyard_domain::breaker::{Breaker, BreakerId};
use pullyard_store::Write;

/// The accounts that jobs wait for, by name.
pub async fn breakers(ctx: &Context) -> Result<Vec<Breaker>, Error> {
    let now = ctx.clock.now();
    let mut standing = ctx.store.breakers().await?;
    standing.retain(|breaker| !breaker.is_over(now));
    Ok(standing)
}

/// Lets everybody ask an account again; whether anybody waited for it. Jobs on Fargate look within five minutes,
/// runners at their next claim.
///
/// Writes: BREAKER deleted if it is as it was read.
/// Idempotent: by the account; one that is gone is gone.
pub async fn close_breaker(ctx: &Context, id: &BreakerId, who: &str) -> Result<bool, Error> {
    let mut rounds = ctx.rounds(id);
    while let Some(breaker) = ctx.store.breaker(id).await? {
        if ctx.store.close_breaker(&breaker).await? == Write::Applied {
            tracing::info!(account = %id, who, "a person let a model's account be asked again");
            return Ok(!breaker.is_over(ctx.clock.now()));
        }
        rounds.again().await?;
    }
    Ok(false)
}
