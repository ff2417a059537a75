//! One client for the tools with projects or teams: Jira and Linear.

use pullyard_domain::project::tracker::{ToolAccount, ToolScope, ToolStatus, TrackerKind};
use pullyard_domain::text::time::Timestamp;
use pullyard_outbound::{Client, HeaderMap};

use crate::{Applied, Changed, Connection, Delivery, DeliveryError, Desired, Error, Jira, Linear, Secret, Snapshot};

#[derive(Clone, Debug)]
pub enum ToolClient {
    Jira(Jira),
    Linear(Linear),
}

/// Methods that both clients have.
macro_rules! methods {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl ToolClient {
            $(pub async fn $name(&self, $($argument: $kind),*) -> Result<$answer, Error> {
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
    pub fn new(http: Client, kind: TrackerKind, connection: Connection) -> Result<Self, Error> {
        match kind {
            TrackerKind::Jira => Jira::new(http, connection).map(Self::Jira),
            TrackerKind::Linear => Linear::new(http, connection).map(Self::Linear),
            TrackerKind::Issues | TrackerKind::Http => {
                Err(Error::Unexpected { reason: format!("{} has no projects to choose", kind.label()) })
            }
        }
    }
}

/// The page of the tool that lists webhooks, for messages.
pub const fn hook_place(kind: TrackerKind) -> &'static str {
    if matches!(kind, TrackerKind::Jira) { Jira::HOOK_PLACE } else { Linear::HOOK_PLACE }
}

pub fn parse_delivery(
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
