//! The result of a sweep.

use crate::Error;
use pullyard_store::Gauges;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repair {
    Wakeup,
    Write,
    /// A repository was sent to be polled.
    Poll,
    Failure,
    /// The index lagged, another process was faster, or a silent attempt is spared.
    Skip,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub checked: u32,
    /// Due steps requested from other functions: starts, admissions, settlings, notes.
    pub woken: u32,
    /// Jobs requeued or ended.
    pub written: u32,
    /// Runners marked Offline.
    pub offline: u32,
    pub failed: u32,
    pub has_more: bool,
    pub gauges: Option<Gauges>,
}

impl Report {
    pub(super) fn count(&mut self, repair: Repair) {
        match repair {
            Repair::Wakeup => self.woken += 1,
            Repair::Write => self.written += 1,
            Repair::Failure => self.failed += 1,
            Repair::Poll | Repair::Skip => {}
        }
    }

    pub(super) fn add_runner(&mut self, part: &Self) {
        self.written += part.written;
        self.failed += part.failed;
        self.offline += part.offline;
        self.has_more |= part.has_more;
    }

    pub fn repair_count(&self) -> u32 {
        self.woken.saturating_add(self.written).saturating_add(self.offline)
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
    /// The result of the part, unless it failed.
    pub(super) fn record<T>(&mut self, part: Result<T, Error>) -> Option<T> {
        part.map_err(|error| {
            self.count = self.count.saturating_add(1);
            if self.first.is_some() {
                tracing::error!(error = %error, "another part of a sweep failed");
            } else {
                self.first = Some(error);
            }
        })
        .ok()
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

    #[test]
    fn healed_counts_only_repaired_items() {
        // Powers of two identify each field in a sum.
        let report = Report { checked: 1, woken: 2, written: 4, offline: 8, failed: 16, has_more: true, gauges: None };
        assert_eq!(report.repair_count(), 2 + 4 + 8);
    }

    #[test]
    fn first_failure_is_returned_and_all_are_counted() {
        let failed = |message: &str| Err::<(), _>(Error::Inconsistent(message.into()));
        let mut faults = Failures::default();
        faults.record(Ok(()));
        assert!(faults.is_empty());
        for part in [failed("one"), Ok(()), failed("two")] {
            faults.record(part);
            assert!(!faults.is_empty());
        }
        assert_eq!(faults.count(), 2);
        let error = faults.into_result().unwrap_err();
        assert!(matches!(&error, Error::Inconsistent(message) if message == "one"), "{error}");
        assert!(Failures::default().into_result().is_ok());
    }
}
