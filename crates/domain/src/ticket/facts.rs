//! The facts of a decision, loaded before it and stored with it.

use crate::project::budget::DailyUsage;
use crate::project::spending::SpendingFact;
use crate::project::{Project, Repository};
use crate::text::decision::Reason;
use crate::text::id::{EventId, JobId, RepositoryName};
use crate::text::time::Timestamp;
use crate::ticket::Ticket;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub now: Timestamp,
    pub first_decision: Option<FirstDecision>,
    pub project: Option<Project>,
    pub ticket: Option<Ticket>,
    pub repository: RepositoryFact,
    /// The project's usage today; zero if it has no budget.
    pub usage: DailyUsage,
    /// The ticket's limits and their use. `None` without limits.
    pub spending: Option<SpendingFact>,
    /// The labels that the ticket requires of a runner.
    pub labels: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryFact {
    NotNamed,
    NotConnected(RepositoryName),
    Connected(Box<Repository>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstDecision {
    pub reason: Reason,
    pub status_before: Option<String>,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFacts {
    pub decided_at: Timestamp,
    pub occurred_at: Timestamp,
    pub actor: Option<String>,
    pub status: String,
    pub previous_status: Option<String>,
    pub status_before: Option<String>,
    /// The newest stored event before this one, and its time.
    pub seen: Option<(Timestamp, Option<EventId>)>,
    pub active_job: Option<JobId>,
    pub trigger: Option<String>,
    pub auto_create: Option<bool>,
    pub held_by: Option<String>,
    pub repository: Option<RepositoryName>,
    pub today: Option<DailyUsage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spending: Option<SpendingFact>,
}
