//! Opens the breaker of a model account. Callers do this before they write the job: without the breaker, another job
//! would spend an attempt on the same account.

use crate::counters::Counter;
use crate::{Context, Error};
use pullyard_domain::agent::breaker::{AccountFault, AttemptRef, Breaker, BreakerId};
use pullyard_domain::job::Job;
use pullyard_domain::text::id::RunnerId;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::Write;

pub(crate) async fn load_capability(ctx: &Context, job: &Job) -> Result<String, Error> {
    if let Some(capability) = &job.policy.model_of {
        return Ok(capability.clone());
    }
    Ok(ctx.load_context_of(job).await?.repository.agent.capability)
}

/// Writes: see `Store::put_breaker`.
/// Idempotent: by job and attempt.
pub(crate) async fn open_breaker(
    ctx: &Context,
    job: &Job,
    capability: &str,
    runner: Option<&RunnerId>,
    fault: &AccountFault,
) -> Result<Timestamp, Error> {
    let Some(account) = fault.account(job.policy.key_owner(), &job.project, runner) else {
        let times = job.model.as_ref().map_or(0, |model| model.times).saturating_add(1);
        return Ok(fault.blocked_until(times, ctx.clock.now()));
    };
    let id = BreakerId { account, capability: capability.to_owned() };
    let by = AttemptRef { job: job.id.clone(), attempt: job.attempt };
    let mut rounds = ctx.retries(&id);
    loop {
        let before = ctx.store.load_breaker(&id).await?;
        let now = ctx.clock.now();
        match (Breaker::record_fault(before.as_ref(), &id, fault, &by, now), before) {
            (Some(next), before) => {
                if ctx.store.put_breaker(&next, before.as_ref()).await? == Write::Applied {
                    if before.is_none_or(|before| before.opened != next.opened) {
                        ctx.counters().add(Counter::BreakerOpened);
                    }
                    tracing::warn!(
                        job.id = %job.id, attempt = job.attempt, account = %id, cause = ?next.cause, times = next.times,
                        "breaker opened for a model account"
                    );
                    return Ok(next.until);
                }
                rounds.backoff().await?;
            }
            (None, Some(open)) => return Ok(open.until),
            (None, None) => return Ok(fault.blocked_until(1, now)),
        }
    }
}
