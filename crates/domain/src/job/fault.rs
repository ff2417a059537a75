//! Failed starts of a task: which are transient, when to try again, and when to fail.

use crate::text::time::Timestamp;
use crate::text::truncate;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum DispatchFault {
    Capacity {
        since: Timestamp,
    },
    /// The machine that runs all jobs has no free place (`pullyard up`).
    MachineFull,
    Throttled,
    /// An older version reads `StartRefusal::Passing` as lasting, because it does not know the field.
    Refused {
        reason: String,
        #[serde(default, skip_serializing_if = "crate::text::stored::is_default")]
        refusal: StartRefusal,
    },
    Died {
        reason: String,
    },
    /// AWS took the Spot capacity back before the container claimed.
    Interrupted,
    Silent,
}

/// Whether a refused start can succeed later without a change of the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartRefusal {
    #[default]
    Lasting,
    /// The refusal concerns the account, its permissions or its cluster, and ends when AWS or an operator changes them.
    Passing,
}

impl DispatchFault {
    /// How many such faults in a row fail the job. `None`: transient, like missing capacity and Spot interruptions.
    fn max_consecutive(&self) -> Option<u32> {
        match self {
            Self::Capacity { .. }
            | Self::MachineFull
            | Self::Throttled
            | Self::Interrupted
            | Self::Refused { refusal: StartRefusal::Passing, .. } => None,
            Self::Refused { refusal: StartRefusal::Lasting, .. } | Self::Died { .. } | Self::Silent => Some(3),
        }
    }

    /// Whether the fault counts for the alarm. Missing capacity, throttling and Spot interruptions occur on normal days
    /// and end without help.
    pub fn is_alarming(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Died { .. } | Self::Silent => true,
            Self::Capacity { .. } | Self::MachineFull | Self::Throttled | Self::Interrupted => false,
        }
    }

    fn description(&self) -> String {
        match self {
            Self::Capacity { .. } => "no capacity".into(),
            Self::MachineFull => "the machine has no free place".into(),
            Self::Throttled => "starts are throttled".into(),
            Self::Refused { reason, .. } | Self::Died { reason } => reason.clone(),
            Self::Interrupted => "AWS reclaimed the Spot capacity".into(),
            Self::Silent => "it never connected".into(),
        }
    }
}

/// The failed starts since the last success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedStarts {
    #[serde(flatten)]
    pub last: DispatchFault,
    /// How many in a row were transient, or permanent, like the last one.
    #[serde(rename = "times")]
    pub count: u32,
}

impl FailedStarts {
    pub(super) fn after(before: Option<&Self>, fault: DispatchFault) -> Self {
        let is_transient = |fault: &DispatchFault| fault.max_consecutive().is_none();
        let same = before.filter(|before| is_transient(&before.last) == is_transient(&fault));
        let count = 1 + same.map_or(0, |before| before.count);
        let last = match (fault, before.map(|before| &before.last)) {
            (DispatchFault::Capacity { .. }, Some(DispatchFault::Capacity { since })) => {
                DispatchFault::Capacity { since: *since }
            }
            (DispatchFault::Refused { reason, refusal }, _) => {
                DispatchFault::Refused { reason: truncate(&reason, 120), refusal }
            }
            (DispatchFault::Died { reason }, _) => DispatchFault::Died { reason: truncate(&reason, 120) },
            (fault, _) => fault,
        };
        Self { last, count }
    }

    /// Wait before the next start: 5 s, doubling to 5 min, or to 20 s for a place on this machine, which is free soon.
    pub(super) fn backoff(&self) -> Duration {
        let longest = if self.last == DispatchFault::MachineFull { 20 } else { 300 };
        Duration::from_secs(5u64.saturating_mul(1 << (self.count.clamp(1, 7) - 1)).min(longest))
    }

    /// Why the job gives up starting a task, after too many permanent faults.
    pub(super) fn lasting_reason(&self) -> Option<String> {
        let limit = self.last.max_consecutive()?;
        (self.count >= limit).then(|| self.last.description())
    }
}
