//! Failed starts of a task: which are transient, when to try again, and when to fail.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum DispatchFault {
    Capacity {
        since: Timestamp,
        times: u32,
    },
    Throttled {
        times: u32,
    },
    Refused {
        reason: String,
        times: u32,
    },
    Died {
        reason: String,
        times: u32,
    },
    /// AWS took the Spot capacity back before the container claimed.
    Interrupted {
        times: u32,
    },
    Silent {
        times: u32,
    },
}

impl DispatchFault {
    pub(super) fn count(&self) -> u32 {
        match self {
            Self::Capacity { times, .. }
            | Self::Throttled { times }
            | Self::Refused { times, .. }
            | Self::Died { times, .. }
            | Self::Interrupted { times }
            | Self::Silent { times } => *times,
        }
    }

    /// Continues the count of `last` if both faults are transient or both are not. Otherwise the count begins again.
    pub(super) fn continue_count(self, last: Option<&DispatchFault>) -> Self {
        let passes = |fault: &Self| fault.max_consecutive().is_none();
        let times = 1 + last.filter(|last| passes(last) == passes(&self)).map_or(0, Self::count);
        match (self, last) {
            (Self::Capacity { .. }, Some(Self::Capacity { since, .. })) => Self::Capacity { since: *since, times },
            (Self::Capacity { since, .. }, _) => Self::Capacity { since, times },
            (Self::Throttled { .. }, _) => Self::Throttled { times },
            (Self::Refused { reason, .. }, _) => Self::Refused { reason: crate::text::truncate(&reason, 120), times },
            (Self::Died { reason, .. }, _) => Self::Died { reason: crate::text::truncate(&reason, 120), times },
            (Self::Interrupted { .. }, _) => Self::Interrupted { times },
            (Self::Silent { .. }, _) => Self::Silent { times },
        }
    }

    /// Wait before the next start: 5 s, doubling to 5 min.
    pub(super) fn backoff(&self) -> Duration {
        Duration::from_secs(5u64.saturating_mul(1 << (self.count().clamp(1, 7) - 1)).min(300))
    }

    /// How many such faults in a row fail the job. `None`: transient, like missing capacity and Spot interruptions.
    pub(super) fn max_consecutive(&self) -> Option<u32> {
        match self {
            Self::Capacity { .. } | Self::Throttled { .. } | Self::Interrupted { .. } => None,
            Self::Refused { .. } | Self::Died { .. } | Self::Silent { .. } => Some(3),
        }
    }

    pub(super) fn description(&self) -> String {
        match self {
            Self::Capacity { .. } => "no capacity".into(),
            Self::Throttled { .. } => "starts are throttled".into(),
            Self::Refused { reason, .. } | Self::Died { reason, .. } => reason.clone(),
            Self::Interrupted { .. } => "AWS reclaimed the Spot capacity".into(),
            Self::Silent { .. } => "it never connected".into(),
        }
    }
}
