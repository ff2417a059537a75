//! The result of a sweep.

use crate::Error;
use pullyard_domain::gauges::Gauges;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub looked_at: u32,
    pub started: u32,
    pub requeued: u32,
    pub ended: u32,
    pub tickets: u32,
    pub admitted: u32,
    pub pull_requests: u32,
    /// Repositories sent to be polled.
    pub looks: u32,
    /// Items without work: the index lagged, or another process was faster.
    pub nothing: u32,
    pub failed: u32,
    pub offline: u32,
    pub more: bool,
    pub gauges: Option<Gauges>,
}

impl Report {
    pub(super) fn add(&mut self, part: Self) {
        let Self {
            looked_at,
            started,
            requeued,
            ended,
            tickets,
            admitted,
            pull_requests,
            looks,
            nothing,
            failed,
            offline,
            more,
            gauges,
        } = part;
        for (sum, count) in [
            (&mut self.looked_at, looked_at),
            (&mut self.started, started),
            (&mut self.requeued, requeued),
            (&mut self.ended, ended),
            (&mut self.tickets, tickets),
            (&mut self.admitted, admitted),
            (&mut self.pull_requests, pull_requests),
            (&mut self.looks, looks),
            (&mut self.nothing, nothing),
            (&mut self.failed, failed),
            (&mut self.offline, offline),
        ] {
            *sum = sum.saturating_add(count);
        }
        self.more |= more;
        self.gauges = gauges.or(self.gauges.take());
    }

    pub fn healed(&self) -> u32 {
        [self.started, self.requeued, self.ended, self.tickets, self.admitted, self.pull_requests, self.offline]
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[derive(Debug)]
#[must_use]
pub struct Round {
    pub report: Report,
    /// The table has the note of this round or a later one, which proves that the sweeper is alive.
    pub noted: bool,
    pub fault: Option<Error>,
}

impl Round {
    pub fn whole(self) -> Result<Report, Error> {
        match self.fault {
            None => Ok(self.report),
            Some(fault) => Err(fault),
        }
    }
}

/// Collects failures of parts that all run. Returns the first and logs the others.
#[derive(Debug, Default)]
pub(super) struct Faults {
    first: Option<Error>,
    count: u32,
}

impl Faults {
    pub(super) fn note<T>(&mut self, part: Result<T, Error>) {
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

    pub(super) fn none(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn told(self) -> Result<(), Error> {
        self.first.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Powers of two identify each field in a sum.
    fn part() -> Report {
        Report {
            looked_at: 1,
            started: 2,
            requeued: 4,
            ended: 8,
            tickets: 16,
            admitted: 32,
            pull_requests: 64,
            looks: 128,
            nothing: 256,
            failed: 512,
            offline: 1_024,
            more: true,
            gauges: None,
        }
    }

    #[test]
    fn reports_of_a_round_are_summed() {
        let mut whole = Report::default();
        whole.add(part());
        assert_eq!(whole, part());
        let gauges = Some(Gauges { waiting: 3, ..Gauges::default() });
        whole.add(Report { more: false, gauges: gauges.clone(), ..part() });
        whole.add(Report::default());
        let twice = Report {
            looked_at: 2,
            started: 4,
            requeued: 8,
            ended: 16,
            tickets: 32,
            admitted: 64,
            pull_requests: 128,
            looks: 256,
            nothing: 512,
            failed: 1_024,
            offline: 2_048,
            more: true,
            gauges,
        };
        assert_eq!(whole, twice);
    }

    #[test]
    fn healed_counts_only_repaired_items() {
        assert_eq!(part().healed(), 2 + 4 + 8 + 16 + 32 + 64 + 1_024);
    }

    #[test]
    fn first_failure_is_returned_and_all_are_counted() {
        let failed = |what: &str| Err::<(), _>(Error::Inconsistent(what.into()));
        let mut faults = Faults::default();
        faults.note(Ok(()));
        assert!(faults.none());
        for part in [failed("one"), Ok(()), failed("two")] {
            faults.note(part);
            assert!(!faults.none());
        }
        assert_eq!(faults.count(), 2);
        let told = faults.told().unwrap_err();
        assert!(matches!(&told, Error::Inconsistent(what) if what == "one"), "{told}");
        assert!(Faults::default().told().is_ok());
    }
}
