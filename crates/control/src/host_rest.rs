//! Finds the host of a forge or a ticket tool, and whether it rests.

use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use pullyard_domain::project::tracker::{Tracker, TrackerKind};
use pullyard_domain::text::host::{HostRest, host_of};
use pullyard_domain::text::id::IntegrationId;
use pullyard_domain::text::time::Timestamp;

/// An unreadable rest counts as none: it must not stop the calls to its host.
pub(crate) async fn load_host_rest(ctx: &Context, host: &str) -> Result<Option<HostRest>, Error> {
    Ok(skip_corrupt(ctx, ctx.store.load_host_rest(host).await)?.flatten())
}

/// The end of a connection's pause: the pause that its tool requested, or the rest of its host if that ends later.
pub(crate) async fn load_tool_rest(ctx: &Context, connection: &Tracker) -> Result<Option<Timestamp>, Error> {
    let requested = connection.rest_until.filter(|until| *until > ctx.clock.now());
    let rest = match tool_host(ctx, connection).await? {
        Some(host) => load_host_rest(ctx, &host).await?.and_then(|rest| rest.active_until(ctx.clock.now())),
        None => None,
    };
    Ok(requested.max(rest))
}

pub(crate) async fn tool_host(ctx: &Context, connection: &Tracker) -> Result<Option<String>, Error> {
    match connection.kind {
        TrackerKind::Issues => load_forge_host(ctx, &connection.id).await,
        TrackerKind::Http | TrackerKind::Jira | TrackerKind::Linear => Ok(host_of(&connection.url)),
    }
}

pub(crate) async fn load_forge_host(ctx: &Context, id: &IntegrationId) -> Result<Option<String>, Error> {
    let integration = skip_corrupt(ctx, ctx.store.load_integration(id).await)?.flatten();
    Ok(integration.and_then(|integration| host_of(&integration.api_url)))
}
