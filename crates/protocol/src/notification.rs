//! Endpoints of notifications and the notices for them: `/v1/projects/{project}/notifications…`, `/v1/notices…`.

use pullyard_domain::run::notice as domain;
use pullyard_domain::run::notice::{Endpoint, EndpointKind, NoticeData, NoticeDelivery, NoticeEvent};
use pullyard_domain::text::id::{EndpointId, NoticeId};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Body of `PUT /v1/projects/{project}/notifications/{endpoint}`, which adds an endpoint or changes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutEndpoint {
    /// Kind of message.
    pub kind: EndpointKind,
    /// URL of a webhook; absent: `url_secret` contains it.
    #[serde(default)]
    pub url: Option<String>,
    /// Full name of the secret with the URL.
    #[serde(default)]
    pub url_secret: Option<String>,
    /// Its events; absent: all but `job.completed`.
    #[serde(default)]
    pub events: Option<BTreeSet<NoticeEvent>>,
}

/// An endpoint and how messages reach it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EndpointStatus {
    /// Its settings.
    pub endpoint: Endpoint,
    /// The last delivery with success.
    #[serde(with = "OptionalWireTime")]
    pub sent_at: Option<Timestamp>,
    /// Whether it receives nothing until a user enables it.
    pub disabled: bool,
    /// Why it is disabled, or the last answer after a failure.
    pub problem: Option<String>,
    /// The signing secret of a new webhook. No other answer contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
}

debug_only!(EndpointStatus { endpoint, disabled });

/// Answer to `GET /v1/projects/{project}/notifications`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EndpointList {
    /// At most eight.
    pub endpoints: Vec<EndpointStatus>,
}

/// Answer to the test of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EndpointTest {
    /// Whether it accepted the message.
    pub works: bool,
    /// Its answer, or why there was none.
    pub answer: String,
}

/// A message about an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Notice {
    /// The `webhook-id` of its messages.
    pub id: NoticeId,
    /// Event.
    pub event: NoticeEvent,
    /// When it happened.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// The facts, as in the message.
    pub data: NoticeData,
    /// Its way to each endpoint.
    pub to: BTreeMap<EndpointId, NoticeDelivery>,
}

impl From<domain::Notice> for Notice {
    fn from(domain::Notice { id, event, at, data, to, .. }: domain::Notice) -> Self {
        Self { id, event, at, data, to }
    }
}

/// Answer to `GET /v1/notices?project=…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NoticePage {
    /// Newest first; a page may be empty without being the last.
    pub notices: Vec<Notice>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
}

/// Body of `POST /v1/notices/redeliver`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeliverNotice {
    /// Notice that did not reach an endpoint.
    pub notice: NoticeId,
}
