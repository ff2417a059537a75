//! Pull requests: how one is named, and which ticket it belongs to.

use crate::id::{IntegrationId, JobId, ProjectId, TicketKey};
use serde::{Deserialize, Serialize};

/// A pull request by its forge's own ids, which survive renames. Host and number alone would not do:
/// two hosts share repository ids, so the integration is part of the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestId {
    /// The connected forge.
    pub integration: IntegrationId,
    /// The forge's id of the repository; may pass 2^53.
    pub repository: u64,
    /// Its number.
    pub number: u64,
}

/// A pull request as a ticket shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestLink {
    /// Which.
    pub id: PullRequestId,
    /// Its page.
    pub url: String,
    /// Its head branch.
    pub branch: String,
}

/// The stored link from a pull request to its ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Which.
    pub id: PullRequestId,
    /// Its project.
    pub project: ProjectId,
    /// The ticket it is for; none for a job from a free prompt.
    pub ticket: Option<TicketKey>,
    /// The job that last pushed to it.
    pub job: JobId,
    /// Its page.
    pub url: String,
    /// Its head branch.
    pub branch: String,
    /// The commit at its head when that job ended.
    pub head: String,
    /// Raised by every write.
    pub rev: u64,
}
