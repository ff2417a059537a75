//! Ticket tools: `/v1/trackers…`.

use pullyard_domain::id::IntegrationId;
use pullyard_domain::time::{Timestamp, rfc3339};
use pullyard_domain::tracker::{self as domain, TrackerKind};
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
    /// Full name of the secret with its credential.
    pub secret: String,
    /// The last success.
    #[serde(with = "rfc3339::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub last_ok: Option<Timestamp>,
    /// The last failure, if no success followed.
    pub problem: Option<String>,
    /// No ticket is written before this time.
    #[serde(with = "rfc3339::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub rest_until: Option<Timestamp>,
}

impl From<domain::Tracker> for Tracker {
    fn from(tracker: domain::Tracker) -> Self {
        let domain::Tracker { id, kind, url, secret, last_ok, problem, rest_until, created: _, rev: _ } = tracker;
        Self { id, kind, url, secret, last_ok, problem, rest_until }
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
    /// The address of a user's own tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Full name of a secret; absent: Pullyard generates a signing secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Answer to `POST /v1/trackers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreatedTracker {
    /// The connection.
    pub tracker: Tracker,
    /// The generated signing secret, shown only here.
    pub signing_secret: Option<String>,
    /// Where the tool may send events, signed with the secret.
    pub webhook_url: String,
}
