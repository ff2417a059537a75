//! The facts of a decision, loaded before it and stored with it.

use crate::budget::DailyUsage;
use crate::decision::Reason;
use crate::id::{EventId, JobId, RepositoryName};
use crate::project::{Project, Repository};
use crate::ticket::Ticket;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// All inputs of a decision about a ticket event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub now: Timestamp,
    /// The decision about an earlier delivery of the same event.
    pub first_decision: Option<FirstDecision>,
    pub project: Option<Project>,
    pub ticket: Option<Ticket>,
    pub repository: RepositoryFact,
    /// The project's usage today; zero if it has no budget.
    pub usage: DailyUsage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryFact {
    /// Neither the ticket nor the settings name a repository.
    NotNamed,
    /// The named repository is not connected to the project.
    NotConnected(RepositoryName),
    Connected(Box<Repository>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstDecision {
    pub reason: Reason,
    /// The ticket's status before that event, if known at that time.
    pub status_before: Option<String>,
    pub at: Timestamp,
    /// Times of its repeats.
    pub repeats: Vec<Timestamp>,
}

/// The facts in the ledger, so that a decision can be replayed under other settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFacts {
    /// Format version.
    pub v: u32,
    pub decided_at: Timestamp,
    pub occurred_at: Timestamp,
    pub actor: Option<String>,
    pub status: String,
    pub previous_status: Option<String>,
    /// The stored status before the event.
    pub status_before: Option<String>,
    /// The newest stored event before this one, and its time.
    pub seen: Option<(Timestamp, Option<EventId>)>,
    pub active_job: Option<JobId>,
    pub trigger: Option<String>,
    pub auto_create: Option<bool>,
    pub held_by: Option<String>,
    pub repository: Option<RepositoryName>,
    /// The project's usage on that day, if it has a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub today: Option<DailyUsage>,
}
