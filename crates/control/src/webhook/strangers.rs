//! What is noted of deliveries without a decision: that they come, and that some were not let in.
//!
//! Whoever knows an address can send to it, so the table is written to at most once a minute for each hook
//! and process; in between the process counts.

use super::entry;
use crate::{Context, Error};
use pullyard_domain::decision::Reason;
use pullyard_domain::hook::{Hook, NOTED_EVERY};
use pullyard_domain::id::{DeliveryId, EventId, HookName};
use pullyard_domain::time::Timestamp;
use pullyard_store::Write;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What this process noted lately, by hook and by when that was made: another one of its name is another one. Only
/// hooks that there are get in.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<HashMap<(HookName, Timestamp), Noted>>);

#[derive(Debug, Default)]
struct Noted {
    verified_at: Option<Timestamp>,
    refused_at: Option<Timestamp>,
    refused: u64,
}

impl Strangers {
    fn lock(&self) -> MutexGuard<'_, HashMap<(HookName, Timestamp), Noted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A minute is over since then.
fn is_over(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_none_or(|at| now.since(at) >= NOTED_EVERY)
}

/// Notes that the hook's deliveries come and fit its secret.
pub(super) async fn note_verified(ctx: &Context, hook: &Hook) -> Result<(), Error> {
    let now = ctx.clock.now();
    {
        let mut all = ctx.strangers().lock();
        let noted = all.entry((hook.name.clone(), hook.created)).or_default();
        if !is_over(noted.verified_at, now) {
            return Ok(());
        }
        noted.verified_at = Some(now);
    }
    // Stale: another process noted it, or the hook is gone, and there is another one by its name.
    ctx.store.note_hook_verified(hook, now).await?;
    Ok(())
}

/// Counts a delivery that was not let in, and has the ledger say so: one entry for each hook, reason and day.
pub(super) async fn note_refused(ctx: &Context, hook: &Hook, reason: &Reason) -> Result<(), Error> {
    let now = ctx.clock.now();
    let more = {
        let mut all = ctx.strangers().lock();
        let noted = all.entry((hook.name.clone(), hook.created)).or_default();
        noted.refused += 1;
        if !is_over(noted.refused_at, now) {
            return Ok(());
        }
        noted.refused_at = Some(now);
        std::mem::take(&mut noted.refused)
    };
    if ctx.store.note_hook_refused(hook, more, now).await? == Write::Stale {
        // The hook is gone, and there is another one by its name: of that one nothing was refused.
        return Ok(());
    }
    let all = ctx.store.hook_heard(hook).await?.refused;
    let id = DeliveryId::of_webhook(&hook.name, &format!("{} {}", reason.code(), now.day()));
    // They have no name that could be trusted: how many there were so far stands in its place.
    let event = EventId::new(format!("{all} not let in so far"))
        .map_err(|_| Error::Inconsistent("a number is no event id".into()))?;
    let delivery = entry(ctx, hook, id, event, reason.clone(), None).await?;
    ctx.store.record(&delivery).await?;
    tracing::warn!(hook = %hook.name, refused = all, decision.reason = reason.code(), "deliveries of a webhook are not let in");
    Ok(())
}
