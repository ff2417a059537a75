//! The order of waiting jobs.

use super::Job;

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
    use crate::fixtures::{active, ready_job, time_at};
    use crate::job::{JobStatus, Placement};
    use crate::project::Priority;
    use crate::run::due::{self, Due};
    use proptest::prelude::*;
    use std::time::Duration;

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
