//! Tickets: `POST /v1/tickets/events` for ticket tools, `/v1/tickets…` for the built-in board.

use crate::job::Explained;
#[cfg(feature = "schema")]
use crate::limits;
use pullyard_domain::id::{EventId, JobId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::pull_request::PullRequestState;
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A ticket tool tells that a ticket was created, changed or moved.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketEvent {
    /// The tool's id of this event; the same id is the same event.
    pub event_id: EventId,
    /// When it happened, by the tool's clock.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub occurred_at: Timestamp,
    /// Whose ticket.
    pub project: ProjectId,
    /// Who did it, by the tool's account id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::NAME), regex(pattern = limits::ANY_LINE)))]
    pub actor: Option<String>,
    /// The status before. Recorded; the stored status decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::STATUS), regex(pattern = limits::ANY_LINE)))]
    pub previous_status: Option<String>,
    /// The ticket after the event.
    pub ticket: EventTicket,
}

/// A ticket as its tool has it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventTicket {
    /// Its key.
    pub key: TicketKey,
    /// One line.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::TITLE), regex(pattern = limits::LINE)))]
    pub title: String,
    /// Usually Markdown.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::DESCRIPTION)))]
    pub description: String,
    /// Its status.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::STATUS), regex(pattern = limits::LINE)))]
    pub status: String,
    /// Its labels; `runner:gpu` asks for a runner with the label `gpu`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::LABELS), inner(length(min = 1, max = limits::LABEL), regex(pattern = limits::LINE))))]
    pub labels: BTreeSet<String>,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::URL), regex(pattern = limits::WEB)))]
    pub url: Option<String>,
    /// The repository it is about; the project's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
}

/// `POST /v1/tickets`: writes a ticket on the built-in board.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTicket {
    /// Whose.
    pub project: ProjectId,
    /// Its key.
    pub key: TicketKey,
    /// One line.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::TITLE), regex(pattern = limits::LINE)))]
    pub title: String,
    /// Usually Markdown.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::DESCRIPTION)))]
    pub description: String,
    /// Where it starts; the project's todo status when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::STATUS), regex(pattern = limits::LINE)))]
    pub status: Option<String>,
    /// Its labels.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::LABELS), inner(length(min = 1, max = limits::LABEL), regex(pattern = limits::LINE))))]
    pub labels: BTreeSet<String>,
    /// The repository it is about; the project's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
}

/// `POST /v1/tickets/{key}/move?project=P`: puts a ticket in another column.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveTicket {
    /// The column.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::STATUS), regex(pattern = limits::LINE)))]
    pub status: String,
}

/// `PATCH /v1/tickets/{key}?project=P`: changes what is given and leaves the rest.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditTicket {
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::TITLE), regex(pattern = limits::LINE)))]
    pub title: Option<String>,
    /// Usually Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::DESCRIPTION)))]
    pub description: Option<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::LABELS), inner(length(min = 1, max = limits::LABEL), regex(pattern = limits::LINE))))]
    pub labels: Option<BTreeSet<String>>,
    /// The repository it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
}

/// The answer to creating, moving and editing: the ticket, and what was decided about it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketAnswer {
    /// The ticket afterwards.
    pub ticket: Ticket,
    /// What the change led to.
    pub decision: crate::decision::Decision,
}

/// A ticket as the API shows it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Whose.
    pub project: ProjectId,
    /// Its key.
    pub key: TicketKey,
    /// One line.
    pub title: String,
    /// Usually Markdown.
    pub description: String,
    /// Its column.
    pub status: String,
    /// Its labels.
    pub labels: BTreeSet<String>,
    /// Its page in its tool.
    pub url: Option<String>,
    /// The repository it is about.
    pub repository: Option<RepositoryName>,
    /// What Pullyard marks it with, in words: `AI Failed`.
    pub badges: Vec<String>,
    /// The linked pull request's page.
    pub pull_request: Option<String>,
    /// What became of it, as far as its forge told us; none without one, or where nothing is known of it.
    pub pull_request_state: Option<PullRequestState>,
    /// The job that has not ended.
    pub active_job: Option<JobId>,
    /// The last job that ended after an agent had worked on it.
    pub last_job: Option<JobId>,
    /// What its entry into the trigger status waits for, while its project is held or has used up its day.
    pub waits: Option<Explained>,
    /// Everything that Pullyard wants it to show is shown, and nothing waits to be decided.
    pub synced: bool,
}

/// `GET /v1/tickets?project=P&after=CURSOR`: by key.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketPage {
    /// At most 50.
    pub tickets: Vec<Ticket>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
}
