//! The priority of a job among the jobs that wait, as an offset of its creation time.
//! A job is overtaken only by jobs that are at most twice the offset younger, so none starves.

use super::Job;
use crate::code::coded_enum;
use crate::time::Timestamp;
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

impl Job {
    /// Its order among the waiting jobs of its class, or of its repository. Never changes, so that a requeued or
    /// continued job waits where it would have waited before. Units: Unix milliseconds.
    pub fn order(&self) -> i64 {
        self.priority.order(self.created)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::due::{self, Due};
    use crate::fixtures::{active, ready_job, time_at};
    use crate::job::{JobStatus, Placement};
    use proptest::prelude::*;

    fn job(priority: usize, created: u64) -> Job {
        let created = time_at(10_000 + created);
        Job { priority: Priority::ALL[priority], created, place: Placement::Runners, ..ready_job() }
    }

    proptest! {
        #[test]
        fn job_is_overtaken_only_within_two_hours(
            first in (0_usize..3, 0_u64..20_000),
            second in (0_usize..3, 0_u64..20_000),
        ) {
            let (first, second) = (job(first.0, first.1), job(second.0, second.1));
            if second.order() < first.order() {
                prop_assert!(second.created.since(first.created) < Duration::from_secs(7_200));
            }
            if first.priority == second.priority {
                prop_assert_eq!(second.order() < first.order(), second.created < first.created);
            }
        }
    }

    #[test]
    fn order_survives_a_requeue_and_the_wait_for_a_place() {
        for (priority, secs) in [(Priority::Low, 13_700), (Priority::Normal, 10_100), (Priority::High, 6_500)] {
            let created = time_at(10_100);
            let order = |job: &Job| match due::job(job) {
                Some(Due::Ready { order, .. } | Due::Limited { order, .. }) => order,
                due => panic!("not waiting: {due:?}"),
            };
            let running = Job { priority, created, place: Placement::Runners, ..active(JobStatus::Claimed) };
            let requeued = running.requeue(time_at(90_000)).unwrap();
            assert_eq!(order(&requeued), time_at(secs).millis(), "{priority:?}");
            assert_eq!(order(&Job { is_limited: true, ..requeued }), time_at(secs).millis(), "{priority:?}");
        }
    }

    #[test]
    fn stored_job_names_only_another_priority_than_normal() {
        let stored = |priority| serde_json::to_value(Job { priority, ..ready_job() }).unwrap();
        assert_eq!(stored(Priority::Normal).get("priority"), None);
        assert_eq!(stored(Priority::High)["priority"], "high");
        let older: Job = serde_json::from_value(stored(Priority::Normal)).unwrap();
        assert_eq!(older.priority, Priority::Normal);
    }
}
