//! What one round of the sweeper did, in numbers, and what of it could not be done at all.

use crate::Error;
use pullyard_domain::gauges::Gauges;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Due items that were looked at.
    pub looked_at: u32,
    /// Jobs whose start was asked for.
    pub started: u32,
    /// Jobs that went back to Ready.
    pub requeued: u32,
    pub ended: u32,
    /// Tickets whose settling was asked for.
    pub tickets: u32,
    /// Jobs whose review is to be read from its forge.
    pub admitted: u32,
    /// Pull requests whose note is to be written.
    pub pull_requests: u32,
    /// Hooks and repositories whose look at the forge was asked for.
    pub looks: u32,
    /// Items that needed nothing: the index was behind, or somebody else was quicker.
    pub nothing: u32,
    /// What failed: items, which are left alone for a while, and parts of the round that were left out.
    pub failed: u32,
    /// Self-hosted runners that were taken Offline.
    pub offline: u32,
    /// More is due than one round takes.
    pub more: bool,
    /// What the deployment is doing, where the round looked: once a minute.
    pub gauges: Option<Gauges>,
}

impl Report {
    /// What a part of the round did as well.
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

    /// What the round set going again because it was due.
    pub fn healed(&self) -> u32 {
        [self.started, self.requeued, self.ended, self.tickets, self.admitted, self.pull_requests, self.offline]
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// A round that was gone to its end, and what of it failed.
#[derive(Debug)]
#[must_use]
pub struct Round {
    /// What it did. Each part that could not be done at all counts in `failed`.
    pub report: Report,
    /// It stands in the table, or a later one of another sweeper does: the sign of life.
    pub noted: bool,
    /// What went wrong first with the parts that could not be done at all.
    pub fault: Option<Error>,
}

impl Round {
    /// What it did.
    ///
    /// Errors: the first part that could not be done at all.
    pub fn whole(self) -> Result<Report, Error> {
        match self.fault {
            None => Ok(self.report),
            Some(fault) => Err(fault),
        }
    }
}

/// What failed of parts that are all seen to, whatever becomes of those before: the first failure is kept until then,
/// and further ones are told of where they are met.
#[derive(Debug, Default)]
pub(super) struct Faults {
    first: Option<Error>,
    count: u32,
}

impl Faults {
    /// Notes what became of one part.
    pub(super) fn note<T>(&mut self, part: Result<T, Error>) {
        if let Err(error) = part {
            self.count = self.count.saturating_add(1);
            if self.first.is_some() {
                tracing::error!(error = %error, "a further part of a sweep failed");
            } else {
                self.first = Some(error);
            }
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// No part failed so far.
    pub(super) fn none(&self) -> bool {
        self.first.is_none()
    }

    /// Errors: the first failure.
    pub(super) fn told(self) -> Result<(), Error> {
        self.first.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each number tells which it is.
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
    fn what_the_parts_of_a_round_did_is_added_up() {
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
    fn only_what_goes_again_was_healed() {
        assert_eq!(part().healed(), 2 + 4 + 8 + 16 + 32 + 64 + 1_024);
    }

    #[test]
    fn the_first_failure_is_told_each_is_counted_and_none_where_every_part_was_done() {
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
