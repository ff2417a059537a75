//! Endpoints of notifications and the notices for them: `/v1/projects/{project}/notifications…`, `/v1/notices…`.

use pullyard_domain::id::{EndpointId, NoticeId};
use pullyard_domain::notice::{
    self as domain, DeliveryState, Endpoint, EndpointKind, EndpointState, NoticeData, NoticeEvent,
};
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
    #[serde(with = "rfc3339::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub sent_at: Option<Timestamp>,
    /// Failed sends since then.
    pub failures: u32,
    /// The last answer, or why there was none.
    pub answer: Option<String>,
    /// Why it receives nothing, if it is disabled.
    pub disabled: Option<String>,
    /// The signing secret of a new webhook. No other answer contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
}

debug_only!(EndpointStatus { endpoint, disabled });

impl EndpointStatus {
    /// Converts a stored endpoint.
    pub fn new(endpoint: Endpoint, state: EndpointState, signing_secret: Option<String>) -> Self {
        let EndpointState { sent_at, failures, answer, disabled, .. } = state;
        Self { endpoint, sent_at, failures, answer, disabled, signing_secret }
    }
}

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
    /// Time until the answer. Units: milliseconds.
    pub took_ms: u64,
}

/// A message about an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Notice {
    /// The `webhook-id` of its messages.
    pub id: NoticeId,
    /// Event.
    pub event: NoticeEvent,
    /// When it happened.
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    pub at: Timestamp,
    /// The facts, as in the message.
    pub data: NoticeData,
    /// Its endpoints.
    pub to: Vec<NoticeDelivery>,
}

/// The way of a notice to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NoticeDelivery {
    /// Endpoint.
    pub endpoint: EndpointId,
    /// State.
    pub state: DeliveryState,
    /// Failed sends.
    pub failures: u32,
    /// When it is sent next.
    #[serde(with = "rfc3339::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub next: Option<Timestamp>,
    /// The last answer, or why there was none.
    pub answer: Option<String>,
    /// The notice that contains it.
    pub digest: Option<NoticeId>,
}

impl From<domain::Notice> for Notice {
    fn from(notice: domain::Notice) -> Self {
        let domain::Notice { id, event, at, data, to, .. } = notice;
        let to = to.into_iter().map(|(endpoint, delivery)| {
            let domain::NoticeDelivery { state, failures, next, answer, digest } = delivery;
            NoticeDelivery { endpoint, state, failures, next, answer, digest }
        });
        Self { id, event, at, data, to: to.collect() }
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
