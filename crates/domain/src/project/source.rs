//! Origins of deliveries.

use serde::{Deserialize, Serialize};

/// The origin of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    TicketTool,
    /// A move or edit on the built-in board.
    Board,
    /// A user's request for a job.
    Person,
    Webhook,
    /// Found by polling the forge.
    Poll,
    /// A project's setting.
    Automatic,
    Schedule,
    /// A program's start of a template.
    Submission,
}
