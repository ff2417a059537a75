//! Clients of ticket tools behind one interface: read a ticket, show a wanted state on it, list changed tickets.
//! Repeating a call changes nothing. The crate stores no data and knows no jobs.

mod client;
mod jira;
mod linear;
mod own_tool;
mod tool_client;

use std::time::Duration;

use client::unreachable;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::time::Timestamp;

pub use jira::Jira;
pub use linear::Linear;
pub use own_tool::check::{Check, check_receiver};
pub use own_tool::{OwnTool, Subject};
pub use pullyard_domain::project::tracker::{ToolAccount as Account, ToolScope as Scope, ToolStatus};
pub use pullyard_forge::Token;
pub use pullyard_forge::webhook::Secret;
use pullyard_forge::webhook::SignatureError;
pub use tool_client::{ToolClient, hook_place, parse_delivery};

/// Time for all calls of one `read` or `apply`: half the time of the calling function.
const LIMIT: Duration = Duration::from_secs(30);

/// Address and credential of a tool.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The site of Jira, such as `https://acme.atlassian.net`, or [`Linear::API_URL`].
    pub base_url: String,
    /// For a scoped token of Jira, which the site itself rejects.
    pub cloud_id: Option<String>,
    /// Jira: `E-MAIL:API-TOKEN`. Linear: a personal key, or `CLIENT-ID:SECRET` of an app.
    pub credential: Token,
}

/// A ticket as its tool shows it, cut to the limits of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub key: String,
    pub title: String,
    pub body: String,
    pub labels: Vec<String>,
    /// Id, not name.
    pub status: String,
    pub url: String,
    pub change: Change,
}

/// The newest change of a ticket's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `created` if the status never changed.
    pub id: String,
    pub at: Timestamp,
    /// Before `at` if the tool lost the entry of its history: `at` is then the ticket's last edit.
    pub earliest: Timestamp,
    pub actor: Option<Actor>,
    /// Id of the previous status.
    pub from: Option<String>,
}

impl Change {
    pub const CREATED: &str = "created";
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub id: String,
    pub name: String,
}

/// The state that the tool should show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    pub version: u32,
    /// Identifies the comment; stable over repeats.
    pub message: String,
    pub step: Option<Step>,
    /// The label to set. It is one of `badges`; the other ones are removed.
    pub badge: Option<String>,
    pub badges: Vec<String>,
    /// Lines of plain text.
    pub comment: Option<String>,
    pub link: Option<Link>,
}

/// A change of status, by ids. Executed only from `expected`, so that a person's move wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub to: String,
    pub expected: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub url: String,
    pub title: String,
    /// `None` if it is unknown, or the tool does not show it.
    pub state: Option<PullRequestState>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    Shown,
    /// The ticket has neither the expected nor the wanted status; everything else was applied.
    Moved {
        status: String,
    },
}

/// The content of a webhook's delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub key: String,
    /// The time that the tool wrote into it, and signed. A later delivery has no earlier time.
    pub at: Option<Timestamp>,
}

/// A ticket in a list, with the time of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub key: String,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The ticket or the project is missing or invisible to the account.
    #[error("the tool has no such ticket or project")]
    NotFound,
    /// 401 or 403.
    #[error("the tool refused the credential ({status}): {reason}")]
    Refused { status: u16, reason: String },
    #[error("the tool's rate limit is reached for {} s", after.as_secs())]
    Resting { after: Duration },
    /// Jira answers alike without a path in the workflow and without the right. `status` is a name.
    #[error("no transition leads to status \"{status}\", or the account may not use it")]
    StatusUnreachable { status: String },
    /// `status` is a name.
    #[error(
        "the tool accepted the move to \"{status}\" and left the ticket where it was; check the rules of its workflow"
    )]
    MoveUndone { status: String },
    /// A field of the ticket or a rule of the workflow. `reason` is the tool's sentence.
    #[error("the tool refused the transition: {reason}")]
    TransitionRefused { reason: String },
    /// A write to a ticket that was read before: a label, a link, a comment or its status.
    #[error("unexpected answer of the tool: {reason}")]
    WriteRefused { reason: String },
    /// About this ticket only; a repeat may succeed.
    #[error("the ticket cannot be used yet: {reason}")]
    TicketBusy { reason: &'static str },
    #[error("the tool has no status {id}")]
    UnknownStatus { id: String },
    /// No answer, or an answer that a repeat may change.
    #[error("the tool cannot be reached: {reason}")]
    Unreachable { reason: String },
    #[error("unexpected answer of the tool: {reason}")]
    Unexpected { reason: String },
}

impl Error {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Resting { .. } | Self::Unreachable { .. } | Self::TicketBusy { .. })
    }

    /// Whether the failure concerns one ticket, so that it tells nothing about the connection.
    pub fn is_of_ticket(&self) -> bool {
        match self {
            Self::NotFound
            | Self::StatusUnreachable { .. }
            | Self::MoveUndone { .. }
            | Self::TransitionRefused { .. }
            | Self::WriteRefused { .. }
            | Self::TicketBusy { .. }
            | Self::UnknownStatus { .. } => true,
            Self::Refused { .. } | Self::Resting { .. } | Self::Unreachable { .. } | Self::Unexpected { .. } => false,
        }
    }
}

impl From<pullyard_outbound::Error> for Error {
    fn from(error: pullyard_outbound::Error) -> Self {
        let reason = error.to_string();
        if error.is_transient() { Self::Unreachable { reason } } else { Self::Unexpected { reason } }
    }
}

async fn within<T>(limit: Duration, calls: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Err(unreachable(format!("it did not answer all calls within {} s", limit.as_secs())));
    tokio::time::timeout(limit, calls).await.unwrap_or_else(late)
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// `place` is the page of the tool with the webhook.
    #[error("the delivery has no signature: set the secret of the webhook in {place}")]
    Unsigned { place: &'static str },
    #[error("the signature of the delivery is wrong: compare the secret of the webhook in {place} with ours")]
    Signature { place: &'static str },
    #[error("the delivery is too old or its clock is wrong")]
    Age,
    #[error("failed to parse the delivery: {reason}")]
    Malformed { reason: String },
    /// A valid delivery about something else; answer it as accepted.
    #[error("the delivery is not about a ticket")]
    NotATicket,
}

impl DeliveryError {
    fn signature(error: SignatureError, place: &'static str) -> Self {
        if error == SignatureError::Missing { Self::Unsigned { place } } else { Self::Signature { place } }
    }

    fn malformed(reason: impl ToString) -> Self {
        Self::Malformed { reason: reason.to_string() }
    }
}
