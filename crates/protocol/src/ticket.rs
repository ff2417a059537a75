//! Tickets: `POST /v1/tickets/events` for ticket tools, `/v1/tickets…` for the built-in board.

use crate::job::Explanation;
use crate::limits;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::id::{EventId, IntegrationId, JobId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A ticket tool's report that a ticket was created, changed or moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketEvent {
    /// The tool's id of this event. Idempotent: by this id.
    pub event_id: EventId,
    /// Time of the event by the tool's clock.
    #[serde(with = "WireTime")]
    pub occurred_at: Timestamp,
    /// Project of the ticket.
    pub project: ProjectId,
    /// The tool's account id of the user who caused the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::NAME), regex(pattern = limits::ANY_LINE))]
    pub actor: Option<String>,
    /// Status before the event. Only recorded: the stored status decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::STATUS), regex(pattern = limits::ANY_LINE))]
    pub previous_status: Option<String>,
    /// The ticket after the event.
    pub ticket: EventTicket,
}

/// A ticket as its tool stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventTicket {
    /// Key.
    pub key: TicketKey,
    /// One line.
    #[schemars(length(min = 1, max = limits::TITLE), regex(pattern = limits::LINE))]
    pub title: String,
    /// Usually Markdown.
    #[serde(default)]
    #[schemars(length(max = limits::DESCRIPTION))]
    pub description: String,
    /// Status.
    #[schemars(length(min = 1, max = limits::STATUS), regex(pattern = limits::LINE))]
    pub status: String,
    /// Labels; `runner:gpu` requires a runner with the label `gpu`.
    #[serde(default)]
    #[schemars(length(max = limits::LABELS), inner(length(min = 1, max = limits::LABEL), regex(pattern = limits::LINE)))]
    pub labels: BTreeSet<String>,
    /// Page of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::URL), regex(pattern = limits::WEB_URL))]
    pub url: Option<String>,
    /// Repository; absent: the project's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
}

/// Body of `POST /v1/tickets`, which creates a ticket on the built-in board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTicket {
    /// Project.
    pub project: ProjectId,
    /// Key; absent: the project's id in capitals and the next number, such as `ACME-8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<TicketKey>,
    /// One line.
    #[schemars(length(min = 1, max = limits::TITLE), regex(pattern = limits::LINE))]
    pub title: String,
    /// Usually Markdown.
    #[serde(default)]
    #[schemars(length(max = limits::DESCRIPTION))]
    pub description: String,
    /// First status; absent: the project's todo status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::STATUS), regex(pattern = limits::LINE))]
    pub status: Option<String>,
    /// Labels.
    #[serde(default)]
    #[schemars(length(max = limits::LABELS), inner(length(min = 1, max = limits::LABEL), regex(pattern = limits::LINE)))]
    pub labels: BTreeSet<String>,
    /// Repository; absent: the project's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
}

/// Body of `POST /v1/tickets/{key}/move?project=P`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveTicket {
    /// New status.
    #[schemars(length(min = 1, max = limits::STATUS), regex(pattern = limits::LINE))]
    pub status: String,
    /// Ticket of that status before which the card goes, also within a column. Absent: a card that enters the column is
    /// its last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<TicketKey>,
    /// Make the card the last one, also within a column. Not with `before`.
    #[serde(default)]
    pub last: bool,
}

impl MoveTicket {
    /// A move to the end of another column.
    pub fn to(status: &str) -> Self {
        Self { status: status.to_owned(), before: None, last: false }
    }
}

/// Body of `POST /v1/tickets/{key}/raises?project=P`: raises the limits of a ticket for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RaiseLimit {
    /// Money in addition to `limits.ticket_usd`. Units: millionths of a US dollar.
    #[serde(default)]
    pub usd_micros: u64,
    /// Jobs in addition to `limits.ticket_jobs`.
    #[serde(default)]
    pub jobs: u32,
    /// Time until the raise ends, at most 30 days (default: 7 days). A job keeps the money that it reserved. Units: seconds.
    #[serde(default = "default_raise_secs")]
    pub for_secs: u64,
}

pub(crate) fn default_raise_secs() -> u64 {
    pullyard_domain::project::spending::DEFAULT_RAISE_TIME.as_secs()
}

/// The use of the limits of a ticket, or of a pull request without a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LimitUse {
    /// The ticket, or the name of the pull request.
    pub subject: String,
    /// Use and limits in one line.
    pub sentence: String,
    /// Money of ended jobs. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
    /// Money that running jobs may spend. Units: millionths of a US dollar.
    pub reserved_usd_micros: u64,
    /// Limit with the raises in force. Units: millionths of a US dollar.
    pub limit_usd_micros: Option<u64>,
    /// Jobs, without those that ended before an agent worked.
    pub jobs: u32,
    /// Limit with the raises in force.
    pub max_jobs: Option<u32>,
    /// Attempts of ended jobs.
    pub attempts: u32,
    /// Raises in force.
    pub raises: Vec<LimitRaise>,
}

/// A raise in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LimitRaise {
    /// The name of the token.
    pub by: String,
    /// Units: millionths of a US dollar.
    pub usd_micros: u64,
    /// Jobs.
    pub jobs: u32,
    /// Its end.
    #[serde(with = "WireTime")]
    pub until: Timestamp,
}

/// Body of `PATCH /v1/tickets/{key}?project=P`. Absent fields stay unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditTicket {
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::TITLE), regex(pattern = limits::LINE))]
    pub title: Option<String>,
    /// Usually Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DESCRIPTION))]
    pub description: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::LABELS), inner(length(min = 1, max = limits::LABEL), regex(pattern = limits::LINE)))]
    pub labels: Option<BTreeSet<String>>,
    /// Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
}

/// Answer to a move of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MovedTicket {
    /// The ticket after the move.
    pub ticket: Ticket,
    /// Decision about the move; null if only the order in the column changed, which never starts a job.
    pub decision: Option<crate::decision::Decision>,
}

/// Answer to a creation or edit of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TicketAnswer {
    /// The ticket after the change.
    pub ticket: Ticket,
    /// Decision about the change.
    pub decision: crate::decision::Decision,
}

/// Answer to `DELETE /v1/tickets/{key}?project=P`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeletedTicket {
    /// Project.
    pub project: ProjectId,
    /// Key; a new ticket may use it.
    pub key: TicketKey,
}

/// Body of `POST /v1/tickets/{key}/comments?project=P` and `PATCH /v1/tickets/{key}/comments/{comment}?project=P`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteComment {
    /// Markdown. The agents of later jobs read it, too.
    #[schemars(length(min = 1, max = limits::COMMENT), regex(pattern = limits::NON_BLANK))]
    pub text: String,
}

/// A comment on a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Comment {
    /// Number in its ticket, counted from 1; never used again.
    pub number: u32,
    /// Name of the token that wrote it.
    pub author: String,
    /// Markdown.
    pub text: String,
    /// When it was written.
    #[serde(with = "WireTime")]
    pub created: Timestamp,
    /// When its text was last changed; null if it never was.
    #[serde(with = "OptionalWireTime")]
    pub edited: Option<Timestamp>,
}

/// Answer to `GET /v1/tickets/{key}/comments?project=P&after=CURSOR`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CommentPage {
    /// At most 50.
    pub comments: Vec<Comment>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<u32>,
}

/// Answer to `DELETE /v1/tickets/{key}/comments/{comment}?project=P`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeletedComment {
    /// Project.
    pub project: ProjectId,
    /// Key of the ticket.
    pub key: TicketKey,
    /// Number of the comment.
    pub number: u32,
}

/// A ticket as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ticket {
    /// Project.
    pub project: ProjectId,
    /// Key.
    pub key: TicketKey,
    /// One line.
    pub title: String,
    /// Usually Markdown.
    pub description: String,
    /// Status.
    pub status: String,
    /// Labels.
    pub labels: BTreeSet<String>,
    /// Page in the ticket tool.
    pub url: Option<String>,
    /// Repository.
    pub repository: Option<RepositoryName>,
    /// Badges, such as `AI Failed`.
    pub badges: Vec<String>,
    /// Page of the linked pull request.
    pub pull_request: Option<String>,
    /// Last known state of the pull request; null if there is none or its state is unknown.
    pub pull_request_state: Option<PullRequestState>,
    /// Job that has not ended.
    pub active_job: Option<JobId>,
    /// Last ended job on which an agent worked.
    pub last_job: Option<JobId>,
    /// Reason for the wait of a trigger entry, while the project is held or its budget is exhausted.
    pub waits: Option<Explanation>,
    /// Ticket tool that has the ticket; null if only the board has it.
    #[serde(default)]
    pub tracker: Option<IntegrationId>,
    /// What the tool does not show yet, as a sentence.
    #[serde(default)]
    pub sync_note: Option<String>,
    /// Pullyard has nothing left to change on the ticket or to decide about it.
    pub synced: bool,
}

/// Answer to `GET /v1/tickets?project=P&after=CURSOR`, by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TicketPage {
    /// At most 50.
    pub tickets: Vec<Ticket>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
}
