//! Entries of tickets into the trigger status.

use crate::text::id::EventId;
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};

/// An entry of a ticket into the trigger status. It identifies the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    pub event: EventId,
}
