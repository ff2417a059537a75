//! Records unreadable ticket events in the ledger.

use crate::{Context, Error};
use pullyard_domain::review::delivery::{Delivery, Source};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, EventId, ProjectId};
use sha2::{Digest, Sha256};

/// Idempotent: by caller and content; the same body again has the same entry.
pub async fn record_unreadable(
    ctx: &Context,
    caller: &str,
    project: &ProjectId,
    body: &[u8],
    reason: Reason,
) -> Result<DeliveryId, Error> {
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(body)[..16]);
    let (id, event) = (DeliveryId::for_unreadable(caller, &hash), EventId::new(format!("sha256:{hash}"))?);
    let delivery = Delivery::new(id, project.clone(), Source::TicketTool, event, ctx.clock.now(), reason.clipped());
    ctx.store.record_delivery(&delivery).await?;
    ctx.counters().count_decision(&delivery.reason);
    tracing::info!(project = %project, caller, decision.reason = delivery.reason.code(), delivery = %delivery.id, "unreadable request rejected");
    Ok(delivery.id)
}
