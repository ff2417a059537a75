//! The ledger: `GET /v1/deliveries?project=P&day=D`, `GET /v1/deliveries/{id}`.

use pullyard_domain::decision::Verdict;
use pullyard_domain::delivery::Source;
use pullyard_domain::id::{DeliveryId, EventId, JobId, ProjectId, TicketKey};
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
    /// The job it made.
    pub job: Option<JobId>,
    /// What it was decided from.
    pub facts: serde_json::Value,
}

/// One day of the ledger, newest first.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryPage {
    /// At most 50.
    pub deliveries: Vec<Delivery>,
    /// Where the next page begins; none when this was the last of the day.
    pub next: Option<String>,
}
