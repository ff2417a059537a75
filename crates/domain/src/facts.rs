//! What a decision is made from, loaded before it and stored beside it.

use crate::budget::Today;
use crate::decision::Reason;
use crate::id::{EventId, JobId, RepositoryName};
use crate::project::{Project, Repository};
use crate::ticket::Ticket;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Everything a decision about a ticket event looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub now: Timestamp,
    /// The first answer to the same event, if there was one.
    pub first: Option<FirstAnswer>,
    /// The project, if there is one of that name.
    pub project: Option<Project>,
    /// The ticket as stored, if it was seen before.
    pub ticket: Option<Ticket>,
    /// The repository the work would go to.
    pub repository: RepositoryFact,
    /// What the project has used up today; nothing if it has no budget.
    pub today: Today,
}

/// What is known of the repository the work would go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryFact {
    /// Neither the ticket nor the settings name one.
    Unnamed,
    /// It is named, and not connected to the project.
    NotConnected(RepositoryName),
    Connected(Box<Repository>),
}

/// The first answer to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstAnswer {
    pub reason: Reason,
    /// The status the ticket had before that event, as far as was known then.
    pub status_before: Option<String>,
    pub at: Timestamp,
    /// When it came again, until now.
    pub seen: Vec<Timestamp>,
}

/// The facts as the ledger keeps them, so that a decision can be replayed under other settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The version of this shape.
    pub v: u32,
    pub decided_at: Timestamp,
    pub occurred_at: Timestamp,
    pub actor: Option<String>,
    /// The status after the event.
    pub status: String,
    pub previous_status: Option<String>,
    /// The status we had stored before the event.
    pub status_before: Option<String>,
    /// The newest event we had stored, and its time.
    pub seen: Option<(Timestamp, Option<EventId>)>,
    pub active_job: Option<JobId>,
    pub trigger: Option<String>,
    pub auto_create: Option<bool>,
    pub held_by: Option<String>,
    pub repository: Option<RepositoryName>,
    /// What the project had used up on that day, if it has a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub today: Option<Today>,
}
