//! Counts accepted and refused deliveries. Anyone can send, so a process writes each hook at most once a minute.

use super::entry;
use crate::{Context, Error};
use pullyard_domain::decision::Reason;
use pullyard_domain::hook::{RECORD_INTERVAL, Webhook};
use pullyard_domain::id::{DeliveryId, EventId, HookName};
use pullyard_domain::time::Timestamp;
use pullyard_store::Write;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keyed by hook and creation time, because a new hook may reuse the name. Only existing hooks are added.
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

fn is_over(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_none_or(|at| now.since(at) >= RECORD_INTERVAL)
}

pub(super) async fn note_verified(ctx: &Context, hook: &Webhook) -> Result<(), Error> {
    let now = ctx.clock.now();
    {
        let mut all = ctx.strangers().lock();
        let noted = all.entry((hook.name.clone(), hook.created)).or_default();
        if !is_over(noted.verified_at, now) {
            return Ok(());
        }
        noted.verified_at = Some(now);
    }
    // Stale: another process recorded it, or the hook was replaced.
    ctx.store.note_hook_verified(hook, now).await?;
    Ok(())
}

/// Counts a refused delivery, with one ledger entry per hook, reason and day.
pub(super) async fn note_refused(ctx: &Context, hook: &Webhook, reason: &Reason) -> Result<(), Error> {
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
        return Ok(());
    }
    let all = ctx.store.hook_heard(hook).await?.refused;
    let id = DeliveryId::for_webhook(&hook.name, &format!("{} {}", reason.code(), now.day()));
    // Refused deliveries have no trusted id, so show the count instead.
    let event = EventId::new(format!("{all} not let in so far"))
        .map_err(|_| Error::Inconsistent("a number is no event id".into()))?;
    let delivery = entry(ctx, hook, id, event, reason.clone(), None).await?;
    ctx.store.record(&delivery).await?;
    tracing::warn!(hook = %hook.name, refused = all, decision.reason = reason.code(), "webhook deliveries rejected");
    Ok(())
}
