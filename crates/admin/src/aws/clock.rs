//! Compares the clock of this machine with AWS's, because AWS refuses signatures with a wrong time.

use std::time::{Duration, SystemTime};

/// Largest clock difference without correction. AWS refuses signatures older than five minutes, some services fifteen.
const MAX_SKEW: Duration = Duration::from_secs(240);

/// The clocks of AWS and of this machine at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockSample {
    /// AWS's time from the `Date` header, in whole seconds: a smaller difference counts as none.
    pub(crate) aws: SystemTime,
    /// Middle of the call.
    pub(crate) local: SystemTime,
}

impl ClockSample {
    pub(crate) fn skew(&self) -> Duration {
        let apart = self.aws.duration_since(self.local).unwrap_or_else(|behind| behind.duration());
        if apart < Duration::from_secs(1) { Duration::ZERO } else { apart }
    }

    pub(super) fn is_skewed(&self) -> bool {
        self.skew() > MAX_SKEW
    }

    /// Converts a time of this machine to AWS's clock.
    pub(super) fn aws_time(&self, time: SystemTime) -> SystemTime {
        match self.aws.duration_since(self.local) {
            Ok(ahead) => time + ahead,
            Err(behind) => time.checked_sub(behind.duration()).unwrap_or(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_skew_is_measured_in_seconds_and_corrected() {
        let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let apart = |theirs, ours| ClockSample { aws: at(theirs), local: at(ours) }.skew().as_secs();
        assert_eq!((apart(60_000, 0), apart(0, 60_000), apart(1_000, 1_999)), (60, 60, 0));
        let clocks = ClockSample { aws: at(10_000), local: at(70_000) };
        assert_eq!(clocks.aws_time(at(71_000)), at(11_000));
    }
}
