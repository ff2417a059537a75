//! Clients of the tools that have projects or teams: Jira and Linear.

use crate::trackers::tool::CallError;
use crate::{Context, Error};
use pullyard_domain::id::IntegrationId;
use pullyard_domain::time::Timestamp;
use pullyard_domain::tracker::{ToolAccount, ToolScope, ToolStatus, Tracker, TrackerKind};
use pullyard_outbound::HeaderMap;
use pullyard_tracker::{
    Applied, Changed, Connection, DeliveryError, Desired, Error as ToolError, Jira, Linear, Secret, Snapshot, Token,
};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Debug)]
pub(crate) enum ToolClient {
    Jira(Jira),
    Linear(Linear),
}

/// Calls a method that both clients have.
macro_rules! of_each {
    ($client:expr, $tool:ident => $call:expr) => {
        match $client {
            ToolClient::Jira($tool) => $call,
            ToolClient::Linear($tool) => $call,
        }
    };
}

impl ToolClient {
    /// Errors: `Unexpected` for a kind without projects; an address or a credential that cannot be used.
    pub(crate) fn new(ctx: &Context, kind: TrackerKind, connection: Connection) -> Result<Self, ToolError> {
        let http = ctx.outbound.clone();
        match kind {
            TrackerKind::Jira => Jira::new(http, connection).map(Self::Jira),
            TrackerKind::Linear => Linear::new(http, connection).map(Self::Linear),
            TrackerKind::Issues | TrackerKind::Http => Err(has_no_scopes(kind)),
        }
    }

    pub(crate) async fn account(&self) -> Result<ToolAccount, ToolError> {
        of_each!(self, tool => tool.account().await)
    }

    pub(crate) async fn list_scopes(&self) -> Result<Vec<ToolScope>, ToolError> {
        of_each!(self, tool => tool.list_scopes().await)
    }

    pub(crate) async fn list_statuses(&self, scope: &str) -> Result<Vec<ToolStatus>, ToolError> {
        of_each!(self, tool => tool.list_statuses(scope).await)
    }

    pub(crate) async fn list_changed(
        &self,
        scope: &str,
        since: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Changed>, ToolError> {
        of_each!(self, tool => tool.list_changed(scope, since, now, limit).await)
    }

    pub(crate) async fn install_hook(&self, scope: &str, url: &str, secret: &str) -> Result<(), ToolError> {
        of_each!(self, tool => tool.install_hook(scope, url, secret).await)
    }

    pub(crate) async fn read(&self, key: &str) -> Result<Snapshot, ToolError> {
        of_each!(self, tool => tool.read(key).await)
    }

    pub(crate) async fn apply(&self, key: &str, desired: &Desired) -> Result<Applied, ToolError> {
        of_each!(self, tool => tool.apply(key, desired).await)
    }
}

/// Returns the key of the ticket.
pub(crate) fn parse_delivery(
    kind: TrackerKind,
    secrets: &[Secret],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<String, DeliveryError> {
    match kind {
        TrackerKind::Jira => Jira::parse_delivery(secrets, headers, body, now),
        TrackerKind::Linear => Linear::parse_delivery(secrets, headers, body, now),
        TrackerKind::Issues | TrackerKind::Http => Err(DeliveryError::NotATicket),
    }
}

fn has_no_scopes(kind: TrackerKind) -> ToolError {
    ToolError::Unexpected { reason: format!("{} has no projects to choose", kind.label()) }
}

/// The client of each connection, which has the token of an app. A changed credential makes a new one.
#[derive(Debug, Default)]
pub(crate) struct ToolClients(Mutex<BTreeMap<IntegrationId, (Connection, ToolClient)>>);

impl ToolClients {
    fn get_or_new(&self, ctx: &Context, tracker: &Tracker, wanted: Connection) -> Result<ToolClient, ToolError> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |(known, _): &&(Connection, ToolClient)| {
            known.base_url == wanted.base_url
                && known.cloud_id == wanted.cloud_id
                && known.credential.reveal() == wanted.credential.reveal()
        };
        if let Some((_, client)) = clients.get(&tracker.id).filter(is_same) {
            return Ok(client.clone());
        }
        let client = ToolClient::new(ctx, tracker.kind, wanted.clone())?;
        clients.insert(tracker.id.clone(), (wanted, client.clone()));
        Ok(client)
    }
}

pub(crate) async fn connect_client(ctx: &Context, tracker: &Tracker) -> Result<ToolClient, CallError> {
    let credential = load_credential(ctx, &tracker.secret).await?;
    let (base_url, cloud_id) = (tracker.url.clone(), tracker.cloud_id.clone());
    let wanted = Connection { base_url, cloud_id, credential: Token::new(credential.trim()) };
    Ok(ctx.tool_clients().get_or_new(ctx, tracker, wanted)?)
}

pub(crate) async fn load_credential(ctx: &Context, secret: &str) -> Result<std::sync::Arc<str>, ToolError> {
    ctx.secrets.get(secret).await.map_err(|error| {
        let reason = error.to_string();
        if error.is_transient() { ToolError::Unreachable { reason } } else { ToolError::Unexpected { reason } }
    })
}

/// A failed call as the answer to a user's request about a field.
pub(crate) fn to_field_fault(pointer: &'static str, error: &ToolError) -> Error {
    Error::Invalid { pointer, fault: error.to_string() }
}
