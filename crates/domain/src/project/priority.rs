//! The priority of a job among the jobs that wait, as an offset of its creation time.
//! A job is overtaken only by jobs that are at most twice the offset younger, so none starves.

use crate::text::code::coded_enum;
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How much earlier a job of high priority waits in the queue, and how much later one of low priority.
pub const PRIORITY_OFFSET: Duration = Duration::from_secs(3_600);

coded_enum! {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum Priority {
        /// As if it was created an hour later.
        Low = "low", "Low";
        #[default]
        Normal = "normal", "Normal";
        /// As if it was created an hour earlier.
        High = "high", "High";
    }
}

impl Priority {
    pub fn is_normal(&self) -> bool {
        *self == Self::Normal
    }

    /// The place in a queue, lowest first, of an item that waits since this time. Units: Unix milliseconds.
    pub fn order(self, since: Timestamp) -> i64 {
        match self {
            Self::Low => since.plus(PRIORITY_OFFSET),
            Self::Normal => since,
            Self::High => since.minus(PRIORITY_OFFSET),
        }
        .millis()
    }
}
