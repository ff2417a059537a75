//! The ledger: `GET /v1/deliveries?project=P`, `GET /v1/deliveries/{id}`.

use pullyard_domain::review::delivery::Source;
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::text::id::{DeliveryId, EventId, JobId, ProjectId, ReviewId, TicketKey};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp, WireTime};
use serde::{Deserialize, Serialize};

/// A delivery with its decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Delivery {
    /// Delivery id.
    pub id: DeliveryId,
    /// Project.
    pub project: ProjectId,
    /// Source of the delivery.
    pub source: Source,
    /// Id of the event at the sender.
    pub event: EventId,
    /// Ticket.
    pub ticket: Option<TicketKey>,
    /// When it first arrived.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// Verdict.
    pub verdict: Verdict,
    /// Code of the reason, for programs.
    pub code: String,
    /// Reason as a sentence for users.
    pub sentence: String,
    /// Advice.
    pub help: String,
    /// Job that it created, or that has covered it since.
    pub job: Option<JobId>,
    /// Pull request of the delivery, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewSubject>,
    /// Facts of the decision; null if none were recorded. Times are RFC 3339.
    pub facts: serde_json::Value,
}

/// The pull request event of a delivery: a review, a request or a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReviewSubject {
    /// Readable name of the pull request: `acme/app#7`.
    pub pull_request: String,
    /// Page of the pull request.
    pub url: String,
    /// Review or request; null for an event of the pull request itself.
    pub review: Option<ReviewId>,
    /// Author of the event.
    pub author: String,
}

/// Filters for the ledger; `None` or empty does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// One of these verdicts.
    pub verdicts: Vec<Verdict>,
    /// One of these reasons.
    pub codes: Vec<String>,
    /// Ticket.
    pub ticket: Option<TicketKey>,
    /// Pull request: `acme/app#7`, its URL, or `#7` of any repository.
    pub pull_request: Option<String>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
    /// Page size: 1 to 50.
    pub limit: Option<usize>,
    /// Cursor.
    pub after: Option<String>,
}

/// Answer to `GET /v1/deliveries?project=P&…`, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeliveryPage {
    /// At most 50, or `limit`. A page may be empty without being the last.
    pub deliveries: Vec<Delivery>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
    /// Arrival of the oldest entry examined; a page examines at most 500.
    #[serde(default, rename = "looked_back_to", with = "OptionalWireTime")]
    pub searched_to: Option<Timestamp>,
}
