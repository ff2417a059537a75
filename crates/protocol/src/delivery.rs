//! The ledger: `GET /v1/deliveries?project=P`, `GET /v1/deliveries/{id}`.

use pullyard_domain::decision::Verdict;
use pullyard_domain::delivery::Source;
use pullyard_domain::id::{DeliveryId, EventId, JobId, ProjectId, ReviewId, TicketKey};
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};

/// One answered delivery.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Which.
    pub id: DeliveryId,
    /// Whose.
    pub project: ProjectId,
    /// Where it came from.
    pub source: Source,
    /// What its sender calls it.
    pub event: EventId,
    /// What it is about.
    pub ticket: Option<TicketKey>,
    /// When it came first.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub at: Timestamp,
    /// How often it came again.
    pub repeats: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, for programs.
    pub code: String,
    /// Why, for people.
    pub sentence: String,
    /// What to do about it.
    pub help: String,
    /// The job it made, or that covers it since.
    pub job: Option<JobId>,
    /// The pull request it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewSubject>,
    /// What it was decided from.
    pub facts: serde_json::Value,
}

/// The review, request or news of a pull request that a delivery told.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewSubject {
    /// The pull request as people name it: `acme/app#7`.
    pub pull_request: String,
    /// Its page.
    pub url: String,
    /// Which review or request; none for what tells of the pull request itself.
    pub review: Option<ReviewId>,
    /// Who wrote it.
    pub author: String,
}

/// Filters for the ledger; `None` or empty does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Day in UTC, `2026-11-20`; not together with `since` and `until`.
    pub day: Option<String>,
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

/// `GET /v1/deliveries?project=P&…`: newest first.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryPage {
    /// At most 50, or as many as were asked for. May be none while there are older ones to look at.
    pub deliveries: Vec<Delivery>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
    /// When the oldest entry that was looked at came: a page looks at 500 at most.
    #[serde(default, with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub looked_back_to: Option<Timestamp>,
}
