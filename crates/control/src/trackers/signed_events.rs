//! Authenticates the events that a user's own tool signs.

use crate::counters::Counter;
use crate::webhook::verify::match_secret;
use crate::{Context, Error};
use pullyard_domain::project::tracker::TrackerKind;
use pullyard_domain::text::id::{IntegrationId, ProjectId};
use pullyard_outbound::HeaderMap;
use pullyard_outbound::standard_webhooks::{VerifyError, verify};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSignature {
    Valid,
    UnknownTool,
    Invalid(VerifyError),
}

/// Verifies the raw body with the present secret, and with the previous one while that is valid.
pub async fn verify_event(
    ctx: &Context,
    tool: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<EventSignature, Error> {
    let Ok(id) = IntegrationId::new(tool) else { return Ok(EventSignature::UnknownTool) };
    let connection = ctx.store.load_tracker(&id).await?.filter(|found| found.kind == TrackerKind::Http);
    let Some(connection) = connection else { return Ok(EventSignature::UnknownTool) };
    let now_secs = ctx.clock.now().millis() / 1_000;
    // Without secrets, a well-formed signature of the right age yields `Wrong`.
    let result = match verify(&[], headers, body, now_secs) {
        Err(VerifyError::Wrong) => {
            let is_signed_with =
                |value: &str| value.parse().is_ok_and(|secret| verify(&[secret], headers, body, now_secs).is_ok());
            match_secret(ctx, &connection.secret, is_signed_with).await?.map_err(|_| VerifyError::Wrong)
        }
        result => result.map(drop),
    };
    Ok(match result {
        Ok(()) => EventSignature::Valid,
        Err(error) => {
            ctx.counters().add(Counter::SignatureRefused);
            EventSignature::Invalid(error)
        }
    })
}

/// Whether a tool may report tickets of a project.
pub async fn is_tool_of(ctx: &Context, tool: &str, project: &ProjectId) -> Result<bool, Error> {
    let found = ctx.store.load_project(project).await?;
    let settings = found.and_then(|found| found.settings.tracker);
    Ok(settings.is_some_and(|settings| settings.connection.as_str() == tool))
}
