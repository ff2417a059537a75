//! Receives the deliveries of a tool's webhook, each a hint to read a ticket.

use crate::corrupt::load_all_projects;
use crate::counters::Counter;
use crate::poll::tool_poll::update_webhook;
use crate::webhook::verify::match_secret;
use crate::{Context, Error};
use pullyard_domain::project::tracker::{TrackerKind, TrackerSettings};
use pullyard_domain::text::id::{IntegrationId, TicketKey};
use pullyard_outbound::HeaderMap;
use pullyard_tracker::{Delivery, DeliveryError, Secret, parse_delivery};
use std::sync::OnceLock;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolDelivery {
    Accepted,
    UnknownTool,
    /// The text is for the tool's list of deliveries.
    Refused(String),
}

/// Verifies the raw body with the present secret, and with the previous one while that is valid.
/// Errors: a lost message; the tool then repeats the delivery.
pub async fn receive_tool_delivery(
    ctx: &Context,
    kind: TrackerKind,
    tool: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<ToolDelivery, Error> {
    let Ok(id) = IntegrationId::new(tool) else { return Ok(ToolDelivery::UnknownTool) };
    let connection = ctx.store.load_tracker(&id).await?.filter(|found| found.kind == kind);
    let Some(secret) = connection.and_then(|found| found.hook_secret) else { return Ok(ToolDelivery::UnknownTool) };
    match parse_signed(ctx, kind, &secret, headers, body).await? {
        Ok(delivery) => wake_looks(ctx, &id, &delivery).await?,
        Err(DeliveryError::NotATicket) => {}
        Err(refusal) => {
            ctx.counters().add(Counter::SignatureRefused);
            return Ok(ToolDelivery::Refused(refusal.to_string()));
        }
    }
    Ok(ToolDelivery::Accepted)
}

async fn parse_signed(
    ctx: &Context,
    kind: TrackerKind,
    secret: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Result<Delivery, DeliveryError>, Error> {
    let parse = |secrets: &[Secret]| parse_delivery(kind, secrets, headers, body, ctx.clock.now());
    let parsed = OnceLock::new();
    let is_signed_with = |value: &str| match parse(&[Secret::new(value.trim())]) {
        Err(DeliveryError::Signature { .. }) => false,
        result => parsed.set(result).is_ok(),
    };
    match_secret(ctx, secret, is_signed_with).await?.ok();
    Ok(parsed.into_inner().unwrap_or_else(|| parse(&[])))
}

/// Requests a look in each project that has the ticket's scope of this tool.
async fn wake_looks(ctx: &Context, id: &IntegrationId, delivery: &Delivery) -> Result<(), Error> {
    let Ok(ticket) = TicketKey::new(&delivery.key) else { return Ok(()) };
    let is_its_tool = |tool: &TrackerSettings| tool.connection == *id && tool.has_ticket(&ticket);
    for project in load_all_projects(ctx).await? {
        if project.settings.tracker.as_ref().is_some_and(is_its_tool) {
            ctx.wake_look(&project.id, id, &ticket, delivery.at).await?;
            if let Err(error) = update_webhook(ctx, &project.id, id, |known, now| known.record_delivery(now)).await {
                tracing::warn!(error = &error as &dyn std::error::Error, tracker = %id, "delivery not recorded");
            }
        }
    }
    Ok(())
}
