//! Clients of the ticket tools with projects or teams: Jira and Linear.

use crate::trackers::tool::CallError;
use crate::{Context, Error};
use pullyard_domain::id::IntegrationId;
use pullyard_domain::time::Timestamp;
use pullyard_domain::tracker::{ToolAccount, ToolScope, ToolStatus, Tracker, TrackerKind};
use pullyard_outbound::HeaderMap;
use pullyard_tracker::{
    Applied, Changed, Connection, Delivery, DeliveryError, Desired, Error as ToolError, Jira, Linear, Secret, Snapshot,
    Token,
};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Three calls in a row fit into the 28 s of a function.
const CALL_LIMIT: Duration = Duration::from_secs(8);

#[derive(Clone, Debug)]
pub(crate) enum ToolClient {
    Jira(Jira),
    Linear(Linear),
}

/// Methods that both clients have.
macro_rules! methods {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl ToolClient {
            $(pub(crate) async fn $name(&self, $($argument: $kind),*) -> Result<$answer, ToolError> {
                match self {
                    Self::Jira(tool) => tool.$name($($argument),*).await,
                    Self::Linear(tool) => tool.$name($($argument),*).await,
                }
            })*
        }
    };
}

methods! {
    account() -> ToolAccount;
    list_scopes() -> Vec<ToolScope>;
    list_statuses(scope: &str) -> Vec<ToolStatus>;
    list_changed(scope: &str, since: Timestamp, now: Timestamp, limit: usize) -> Vec<Changed>;
    install_hook(scope: &str, url: &str, secret: &str) -> ();
    remove_hooks(url: &str) -> ();
    read(key: &str, now: Timestamp) -> Snapshot;
    apply(key: &str, desired: &Desired) -> Applied;
}

impl ToolClient {
    /// Errors: `Unexpected` for a kind without projects; an address or a credential that cannot be used.
    pub(crate) fn new(ctx: &Context, kind: TrackerKind, connection: Connection) -> Result<Self, ToolError> {
        let http = ctx.outbound.clone();
        match kind {
            TrackerKind::Jira => Jira::new(http, connection).map(Self::Jira),
            TrackerKind::Linear => Linear::new(http, connection).map(Self::Linear),
            TrackerKind::Issues | TrackerKind::Http => {
                Err(ToolError::Unexpected { reason: format!("{} has no projects to choose", kind.label()) })
            }
        }
    }
}

/// The page of the tool that lists webhooks, for messages.
pub(crate) const fn hook_place(kind: TrackerKind) -> &'static str {
    if matches!(kind, TrackerKind::Jira) { Jira::HOOK_PLACE } else { Linear::HOOK_PLACE }
}

pub(crate) fn parse_delivery(
    kind: TrackerKind,
    secrets: &[Secret],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Delivery, DeliveryError> {
    match kind {
        TrackerKind::Jira => Jira::parse_delivery(secrets, headers, body, now),
        TrackerKind::Linear => Linear::parse_delivery(secrets, headers, body, now),
        TrackerKind::Issues | TrackerKind::Http => Err(DeliveryError::NotATicket),
    }
}

/// The client of each connection, which has the token of an app.
pub(crate) type ToolClients = Mutex<BTreeMap<IntegrationId, (Connection, ToolClient)>>;

/// A changed address or credential makes a new client.
pub(crate) async fn connect_client(ctx: &Context, tracker: &Tracker) -> Result<ToolClient, CallError> {
    let credential = Token::new(load_credential(ctx, &tracker.secret).await?.trim());
    let wanted = Connection { base_url: tracker.url.clone(), cloud_id: tracker.cloud_id.clone(), credential };
    let is_wanted = |(known, _): &&(Connection, ToolClient)| {
        let is_same_address = known.base_url == wanted.base_url && known.cloud_id == wanted.cloud_id;
        is_same_address && known.credential.reveal() == wanted.credential.reveal()
    };
    let mut clients = ctx.tool_clients().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, client)) = clients.get(&tracker.id).filter(is_wanted) {
        return Ok(client.clone());
    }
    let client = ToolClient::new(ctx, tracker.kind, wanted.clone())?;
    clients.insert(tracker.id.clone(), (wanted, client.clone()));
    Ok(client)
}

pub(crate) async fn load_credential(ctx: &Context, secret: &str) -> Result<std::sync::Arc<str>, ToolError> {
    ctx.secrets.get(secret).await.map_err(|error| {
        let reason = error.to_string();
        if error.is_transient() { ToolError::Unreachable { reason } } else { ToolError::Unexpected { reason } }
    })
}

/// Limits a call for which a user waits. A request makes at most three of these in a row.
pub(crate) async fn call_for_user<T>(
    ctx: &Context,
    call: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, ToolError> {
    let reason = || format!("it did not answer within {} s", CALL_LIMIT.as_secs());
    let answer = ctx.clock.with_timeout(CALL_LIMIT, Box::pin(call)).await;
    answer.unwrap_or_else(|| Err(ToolError::Unreachable { reason: reason() }))
}

/// Maps a failed call to an error about the field that the user sent.
pub(crate) fn to_field_fault(pointer: &'static str, error: ToolError) -> Error {
    match error.is_transient() {
        true => Error::ToolUnavailable(error),
        false => Error::Invalid { pointer, fault: error.to_string() },
    }
}
