//! Counts accepted and refused deliveries. Anyone can send, so a process writes each hook at most once a minute.

use super::delivery::new_delivery;
use crate::{Context, Error};
use pullyard_domain::project::hook::{RECORD_INTERVAL, Webhook};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, EventId};
use pullyard_domain::text::time::Timestamp;

fn is_due(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_none_or(|at| now.since(at) >= RECORD_INTERVAL)
}

pub(super) async fn record_verified(ctx: &Context, hook: &Webhook) -> Result<(), Error> {
    let now = ctx.clock.now();
    {
        let mut all = ctx.rejected_deliveries().lock();
        let counts = all.entry((hook.name.clone(), hook.created)).or_default();
        if !is_due(counts.verified_at, now) {
            return Ok(());
        }
        counts.verified_at = Some(now);
    }
    // Stale: another process recorded it, or the hook was replaced.
    ctx.store.update_hook_verified_at(hook, now).await?;
    Ok(())
}

/// Counts a refused delivery, with one ledger entry per hook, reason and day.
pub(super) async fn record_refused(ctx: &Context, hook: &Webhook, reason: &Reason) -> Result<(), Error> {
    let now = ctx.clock.now();
    let new_refusals = {
        let mut all = ctx.rejected_deliveries().lock();
        let counts = all.entry((hook.name.clone(), hook.created)).or_default();
        counts.refused += 1;
        if !is_due(counts.refused_at, now) {
            return Ok(());
        }
        counts.refused_at = Some(now);
        std::mem::take(&mut counts.refused)
    };
    ctx.store.update_hook_refusal(hook, new_refusals, now).await?;
    let total = ctx.store.load_hook_stats(hook).await?.refused;
    let id = DeliveryId::for_webhook(&hook.name, &format!("{} {}", reason.code(), now.day()));
    // Refused deliveries have no trusted id, so show the count instead.
    let event = EventId::new(format!("refused, {total} so far"))?;
    let delivery = new_delivery(ctx, hook, id, event, reason.clone()).await?;
    ctx.store.record_delivery(&delivery).await?;
    tracing::warn!(hook = %hook.name, refused = total, decision.reason = reason.code(), "webhook deliveries rejected");
    Ok(())
}
