//! What a wake-up says: look at this now. A hint; the table holds the truth.

use crate::id::{JobId, ProjectId, TicketKey};
use serde::{Deserialize, Serialize};

/// A job may need a task started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobWakeup {
    /// Which.
    pub job: JobId,
}

/// A ticket may need settling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketWakeup {
    /// Whose.
    pub project: ProjectId,
    /// Which.
    pub ticket: TicketKey,
}
