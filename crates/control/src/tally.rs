//! Counts events in this process for metrics. Counts affect no decision, and are lost in a crash.

use pullyard_domain::decision::{Reason, Verdict};
use pullyard_domain::job::JobStatus;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Count { $($(#[$doc])* $name,)* }

        impl Count {
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

counts! {
    DeliveryAccepted,
    DeliveryHeld,
    DeliveryRefused,
    DeliveryIgnored,
    DeliveryDuplicate,
    DeliveryInvalid,
    SignatureRefused,
    TaskStarted,
    /// A start was refused or postponed, or the task died before its claim.
    TaskStartFailed,
    JobCompleted,
    JobFailed,
    JobCancelled,
    JobRequeued,
    /// A model account's breaker was opened: its limit is used up, or its provider keeps failing.
    ModelLeftAlone,
    WakeupLost,
    /// An item of the table that this version cannot parse was skipped.
    ItemCorrupt,
}

#[derive(Debug)]
pub struct Tally([AtomicU64; Count::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Tally {
    pub fn add(&self, what: Count) {
        if let Some(count) = self.0.get(what as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a decision. A queued review is counted when it is decided.
    pub fn decided(&self, reason: &Reason) {
        if matches!(reason, Reason::Queued { .. }) {
            return;
        }
        self.add(match reason.verdict() {
            Verdict::Accepted => Count::DeliveryAccepted,
            Verdict::Held => Count::DeliveryHeld,
            Verdict::Refused => Count::DeliveryRefused,
            Verdict::Ignored => Count::DeliveryIgnored,
            Verdict::Duplicate => Count::DeliveryDuplicate,
            Verdict::Invalid => Count::DeliveryInvalid,
        });
    }

    pub(crate) fn ended(&self, status: JobStatus) {
        match status {
            JobStatus::Completed => self.add(Count::JobCompleted),
            JobStatus::Failed => self.add(Count::JobFailed),
            JobStatus::Cancelled => self.add(Count::JobCancelled),
            _ => {}
        }
    }

    /// Takes and resets the counts. Concurrent callers get separate shares.
    pub fn take(&self) -> Vec<(Count, u64)> {
        let taken = Count::ALL.iter().zip(&self.0).map(|(what, count)| (*what, count.swap(0, Ordering::Relaxed)));
        taken.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::id::{JobId, ProjectId};

    #[test]
    fn each_verdict_and_end_has_its_own_count() {
        let tally = Tally::default();
        for status in [JobStatus::Failed, JobStatus::Failed, JobStatus::Completed, JobStatus::Executing] {
            tally.ended(status);
        }
        assert_eq!(tally.take(), [(Count::JobCompleted, 1), (Count::JobFailed, 2)]);
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let project = ProjectId::new("acme").unwrap();
        for (reason, expected) in [
            (Reason::Accepted { job: job.clone() }, Count::DeliveryAccepted),
            (Reason::HeldForJob { job }, Count::DeliveryHeld),
            (Reason::UnknownProject { project }, Count::DeliveryRefused),
            (Reason::Echo {}, Count::DeliveryIgnored),
            (Reason::Repeat { first: "accepted".into() }, Count::DeliveryDuplicate),
            (Reason::SignatureMissing {}, Count::DeliveryInvalid),
        ] {
            tally.decided(&reason);
            assert_eq!(tally.take(), [(expected, 1)]);
        }
        tally.ended(JobStatus::Cancelled);
        assert_eq!(tally.take(), [(Count::JobCancelled, 1)]);
    }

    #[test]
    fn queued_decision_is_not_counted() {
        let tally = Tally::default();
        tally.decided(&Reason::Queued { pr: "acme/app#1".into() });
        tally.decided(&Reason::Ping {});
        assert_eq!(tally.take().iter().map(|(_, count)| count).sum::<u64>(), 1);
    }
}
