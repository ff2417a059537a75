//! Counts events in this process for metrics. Counts affect no decision, and are lost in a crash.

use pullyard_domain::job::JobStatus;
use pullyard_domain::text::decision::{Reason, Verdict};
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident = $metric:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Counter { $($(#[$doc])* $name,)* }

        impl Counter {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name of the metric in CloudWatch.
            pub fn metric(self) -> &'static str {
                match self { $(Self::$name => $metric,)* }
            }
        }
    };
}

counts! {
    DeliveryAccepted = "DeliveriesAccepted",
    DeliveryHeld = "DeliveriesHeld",
    DeliveryRefused = "DeliveriesRefused",
    DeliveryIgnored = "DeliveriesIgnored",
    DeliveryDuplicate = "DeliveriesDuplicate",
    DeliveryInvalid = "DeliveriesInvalid",
    SignatureRefused = "SignaturesRefused",
    TaskStarted = "TasksStarted",
    /// A start was refused, or its task died or stayed silent before the claim. `DispatchFault::is_alarming`.
    TaskStartFailed = "TaskStartsFailed",
    JobCompleted = "JobsCompleted",
    JobFailed = "JobsFailed",
    JobCancelled = "JobsCancelled",
    JobRequeued = "JobsRequeued",
    /// A model account's breaker was opened: its limit is used up, or its provider keeps failing.
    BreakerOpened = "ModelsLeftAlone",
    /// A write failed for a ticket that its tool has not shown for an hour.
    TicketUnsynced = "TicketsUnsynced",
    WakeupLost = "WakeupsLost",
    ItemCorrupt = "ItemsCorrupt",
}

#[derive(Debug)]
pub struct Counters([AtomicU64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Counters {
    pub fn add(&self, added: Counter) {
        if let Some(count) = self.0.get(added as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a decision. A queued review is counted when it is decided.
    pub fn count_decision(&self, reason: &Reason) {
        if matches!(reason, Reason::Queued { .. }) {
            return;
        }
        self.add(match reason.verdict() {
            Verdict::Accepted => Counter::DeliveryAccepted,
            Verdict::Held => Counter::DeliveryHeld,
            Verdict::Refused => Counter::DeliveryRefused,
            Verdict::Ignored => Counter::DeliveryIgnored,
            Verdict::Duplicate => Counter::DeliveryDuplicate,
            Verdict::Invalid => Counter::DeliveryInvalid,
        });
    }

    pub(crate) fn count_end(&self, status: JobStatus) {
        match status {
            JobStatus::Completed => self.add(Counter::JobCompleted),
            JobStatus::Failed => self.add(Counter::JobFailed),
            JobStatus::Cancelled => self.add(Counter::JobCancelled),
            _ => {}
        }
    }

    /// Takes and resets the counts. Concurrent callers get separate shares.
    pub fn take(&self) -> Vec<(Counter, u64)> {
        let counts =
            Counter::ALL.iter().zip(&self.0).map(|(counter, count)| (*counter, count.swap(0, Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::text::id::{JobId, ProjectId};

    #[test]
    fn each_verdict_and_end_has_its_own_count() {
        let tally = Counters::default();
        for status in [JobStatus::Failed, JobStatus::Failed, JobStatus::Completed, JobStatus::Executing] {
            tally.count_end(status);
        }
        assert_eq!(tally.take(), [(Counter::JobCompleted, 1), (Counter::JobFailed, 2)]);
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let project = ProjectId::new("acme").unwrap();
        for (reason, expected) in [
            (Reason::Accepted { job: job.clone() }, Counter::DeliveryAccepted),
            (Reason::HeldForJob { job }, Counter::DeliveryHeld),
            (Reason::UnknownProject { project }, Counter::DeliveryRefused),
            (Reason::Echo {}, Counter::DeliveryIgnored),
            (Reason::Repeat { first: "accepted".into() }, Counter::DeliveryDuplicate),
            (Reason::SignatureMissing {}, Counter::DeliveryInvalid),
        ] {
            tally.count_decision(&reason);
            assert_eq!(tally.take(), [(expected, 1)]);
        }
        tally.count_end(JobStatus::Cancelled);
        assert_eq!(tally.take(), [(Counter::JobCancelled, 1)]);
    }

    #[test]
    fn queued_decision_is_not_counted() {
        let tally = Counters::default();
        tally.count_decision(&Reason::Queued { pr: "acme/app#1".into() });
        tally.count_decision(&Reason::Ping {});
        assert_eq!(tally.take().iter().map(|(_, count)| count).sum::<u64>(), 1);
    }
}
