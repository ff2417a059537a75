//! Ticket tools: `/v1/trackers…`.

use crate::project::Project;
use pullyard_domain::project::tracker as domain;
use pullyard_domain::project::tracker::{ToolScope, ToolStatus, TrackerKind, UnsyncedTicket};
use pullyard_domain::text::id::IntegrationId;
use pullyard_domain::text::time::{OptionalWireTime, Timestamp};
use serde::{Deserialize, Serialize};

/// A connection to a ticket tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tracker {
    /// Its name.
    pub id: IntegrationId,
    /// The kind of tool.
    pub kind: TrackerKind,
    /// The address of the tool.
    pub url: String,
    /// The id of the site, for a scoped token of Jira.
    pub cloud_id: Option<String>,
    /// The name of the credential's account in the tool.
    pub account: Option<String>,
    /// Full name of the secret with its credential.
    pub secret: String,
    /// Full name of the secret that signs the deliveries of the tool's webhook.
    pub hook_secret: Option<String>,
    /// The last success.
    #[serde(with = "OptionalWireTime")]
    pub last_ok: Option<Timestamp>,
    /// The last failure, if no success followed.
    pub problem: Option<String>,
    /// No ticket is written before this time.
    #[serde(with = "OptionalWireTime")]
    pub rest_until: Option<Timestamp>,
    /// The last verified delivery of its webhooks, in lists and details.
    #[serde(default, with = "OptionalWireTime")]
    pub last_delivery: Option<Timestamp>,
    /// The tickets that it does not show after a failed write, longest first; only in details.
    #[serde(default)]
    pub unsynced: Vec<UnsyncedTicket>,
}

impl From<domain::Tracker> for Tracker {
    fn from(tracker: domain::Tracker) -> Self {
        let domain::Tracker { id, kind, url, cloud_id, account, secret, hook_secret, .. } = tracker;
        let domain::Tracker { last_ok, problem, rest_until, .. } = tracker;
        let (account, last_delivery, unsynced) = (account.map(|account| account.name), None, Vec::new());
        Self {
            id,
            kind,
            url,
            cloud_id,
            account,
            secret,
            hook_secret,
            last_ok,
            problem,
            rest_until,
            last_delivery,
            unsynced,
        }
    }
}

/// Answer to `GET /v1/trackers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Trackers {
    /// By name.
    pub trackers: Vec<Tracker>,
}

/// Body of `POST /v1/trackers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTracker {
    /// Its name.
    pub id: IntegrationId,
    /// The kind of tool.
    pub kind: TrackerKind,
    /// The address of a user's own tool, or of a site of Jira.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Full name of the secret with the credential; absent, for a user's own tool: Pullyard generates a signing secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The id of the site, for a scoped token of Jira.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_id: Option<String>,
}

/// Answer to `POST /v1/trackers`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreatedTracker {
    /// The connection.
    pub tracker: Tracker,
    /// The generated signing secret, shown only here.
    pub signing_secret: Option<String>,
    /// Where the tool may send events, signed with the secret.
    pub webhook_url: String,
}

debug_only!(CreatedTracker { tracker });

/// Answer to `GET /v1/trackers/{tracker}/statuses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolList {
    /// The tool's projects or teams; empty if the request names one.
    pub scopes: Vec<ToolScope>,
    /// The statuses of the named one, in the tool's order.
    pub statuses: Vec<ToolStatus>,
}

/// Answer to `DELETE /v1/trackers/{tracker}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeletedTracker {
    /// The connection.
    pub tracker: Tracker,
    /// Sentences about its webhooks and secrets, for users.
    pub report: Vec<String>,
}

/// Answer to `PUT` and `DELETE /v1/projects/{project}/tracker`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChosenTracker {
    /// The project.
    pub project: Project,
    /// Sentences about the tool, for users.
    pub report: Vec<String>,
}
