//! The result of a sweep.

use crate::Error;
use pullyard_store::Gauges;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub checked: u32,
    pub started: u32,
    pub requeued: u32,
    pub ended: u32,
    pub tickets: u32,
    pub admitted: u32,
    pub pull_requests: u32,
    /// Repositories sent to be polled.
    pub polls: u32,
    /// Items without work: the index lagged, or another process was faster.
    pub unchanged: u32,
    pub failed: u32,
    pub offline: u32,
    pub has_more: bool,
    pub gauges: Option<Gauges>,
}

impl Report {
    pub(super) fn add(&mut self, part: Self) {
        let Self {
            checked: looked_at,
            started,
            requeued,
            ended,
            tickets,
            admitted,
            pull_requests,
            polls: looks,
            unchanged: nothing,
            failed,
            offline,
            has_more: more,
            gauges,
        } = part;
        for (sum, count) in [
            (&mut self.checked, looked_at),
            (&mut self.started, started),
            (&mut self.requeued, requeued),
            (&mut self.ended, ended),
            (&mut self.tickets, tickets),
            (&mut self.admitted, admitted),
            (&mut self.pull_requests, pull_requests),
            (&mut self.polls, looks),
            (&mut self.unchanged, nothing),
            (&mut self.failed, failed),
            (&mut self.offline, offline),
        ] {
            *sum = sum.saturating_add(count);
        }
        self.has_more |= more;
        self.gauges = gauges.or(self.gauges.take());
    }

    pub fn repair_count(&self) -> u32 {
        [self.started, self.requeued, self.ended, self.tickets, self.admitted, self.pull_requests, self.offline]
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[derive(Debug)]
#[must_use]
pub struct SweepResult {
    pub report: Report,
    /// The table has the note of this round or a later one, which proves that the sweeper is alive.
    pub is_recorded: bool,
    pub error: Option<Error>,
}

impl SweepResult {
    pub fn into_result(self) -> Result<Report, Error> {
        match self.error {
            None => Ok(self.report),
            Some(fault) => Err(fault),
        }
    }
}

/// Collects failures of parts that all run. Returns the first and logs the others.
#[derive(Debug, Default)]
pub(super) struct Failures {
    first: Option<Error>,
    count: u32,
}

impl Failures {
    pub(super) fn record<T>(&mut self, part: Result<T, Error>) {
        if let Err(error) = part {
            self.count = self.count.saturating_add(1);
            if self.first.is_some() {
                tracing::error!(error = %error, "another part of a sweep failed");
            } else {
                self.first = Some(error);
            }
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn into_result(self) -> Result<(), Error> {
        self.first.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report of `n` equal rounds. Powers of two identify each field in a sum.
    fn rounds(n: u32) -> Report {
        Report {
            checked: n,
            started: 2 * n,
            requeued: 4 * n,
            ended: 8 * n,
            tickets: 16 * n,
            admitted: 32 * n,
            pull_requests: 64 * n,
            polls: 128 * n,
            unchanged: 256 * n,
            failed: 512 * n,
            offline: 1_024 * n,
            has_more: true,
            gauges: None,
        }
    }

    #[test]
    fn reports_of_a_round_are_summed() {
        let mut whole = Report::default();
        whole.add(rounds(1));
        assert_eq!(whole, rounds(1));
        let gauges = Some(Gauges { waiting: 3, ..Gauges::default() });
        whole.add(Report { has_more: false, gauges: gauges.clone(), ..rounds(1) });
        whole.add(Report::default());
        assert_eq!(whole, Report { gauges, ..rounds(2) });
    }

    #[test]
    fn healed_counts_only_repaired_items() {
        assert_eq!(rounds(1).repair_count(), 2 + 4 + 8 + 16 + 32 + 64 + 1_024);
    }

    #[test]
    fn first_failure_is_returned_and_all_are_counted() {
        let failed = |what: &str| Err::<(), _>(Error::Inconsistent(what.into()));
        let mut faults = Failures::default();
        faults.record(Ok(()));
        assert!(faults.is_empty());
        for part in [failed("one"), Ok(()), failed("two")] {
            faults.record(part);
            assert!(!faults.is_empty());
        }
        assert_eq!(faults.count(), 2);
        let told = faults.into_result().unwrap_err();
        assert!(matches!(&told, Error::Inconsistent(what) if what == "one"), "{told}");
        assert!(Failures::default().into_result().is_ok());
    }
}
