//! Time limits of a round, its parts and its calls, so that a slow part does not block the others. Limits of parts use
//! the context's steady clock, limits of calls use real time.

use crate::{Clock, Error};
use pullyard_domain::due::SHARDS;
use pullyard_domain::time::Timestamp;
use std::time::Duration;

/// Time until which each part may start a step, from the beginning of the round. Later parts get unused time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) runners: Duration,
    pub(super) due: Duration,
    /// For the rest of the index, and jobs that wait for runners.
    pub(super) ready: Duration,
    /// For waiting entries, and counting jobs.
    pub(super) held_entries: Duration,
    /// Time limit for one call. Putting a failed item off may take as much again.
    pub(super) call: Duration,
    pub(super) end: Duration,
}

impl Limits {
    /// Ends before the next round, a minute later. Without this round's note, the next one would ignore silent runners.
    pub(super) const SCHEDULED: Self = Self::of_secs([8, 22, 36, 42, 6, 58]);
    /// For a manual round: the API function is stopped after 28 s.
    pub(super) const BY_HAND: Self = Self::of_secs([3, 8, 13, 17, 4, 27]);

    const fn of_secs([runners, due, ready, held, one, end]: [u64; 6]) -> Self {
        Self {
            runners: Duration::from_secs(runners),
            due: Duration::from_secs(due),
            ready: Duration::from_secs(ready),
            held_entries: Duration::from_secs(held),
            call: Duration::from_secs(one),
            end: Duration::from_secs(end),
        }
    }
}

pub(super) struct RoundTimer<'a> {
    clock: &'a Clock,
    started: Duration,
    pub(super) limits: Limits,
}

impl<'a> RoundTimer<'a> {
    pub(super) fn begin(clock: &'a Clock, limits: Limits) -> Self {
        Self { clock, started: clock.monotonic(), limits }
    }
}

impl RoundTimer<'_> {
    fn remaining(&self, until: Duration) -> Duration {
        until.saturating_sub(self.clock.monotonic().saturating_sub(self.started))
    }

    pub(super) fn is_past(&self, until: Duration) -> bool {
        self.remaining(until).is_zero()
    }

    pub(super) fn check(&self, until: Duration, step: &'static str) -> Result<(), Error> {
        if self.is_past(until) { Err(Error::Timeout { step, within: until }) } else { Ok(()) }
    }

    pub(super) async fn run<T>(
        &self,
        step: &'static str,
        doing: impl Future<Output = Result<T, impl Into<Error>>>,
    ) -> Result<T, Error> {
        self.run_within(self.limits.call, step, doing).await
    }

    pub(super) async fn run_before<T>(
        &self,
        until: Duration,
        step: &'static str,
        doing: impl Future<Output = Result<T, impl Into<Error>>>,
    ) -> Result<T, Error> {
        self.check(until, step)?;
        self.run(step, doing).await
    }

    pub(super) async fn run_last<T>(
        &self,
        step: &'static str,
        doing: impl Future<Output = Result<T, impl Into<Error>>>,
    ) -> Result<T, Error> {
        self.run_within(self.remaining(self.limits.end).max(self.limits.call / 2), step, doing).await
    }

    async fn run_within<T>(
        &self,
        limit: Duration,
        step: &'static str,
        doing: impl Future<Output = Result<T, impl Into<Error>>>,
    ) -> Result<T, Error> {
        // Boxed: the future of a job's end is large and has many call sites here.
        match self.clock.with_timeout(limit, Box::pin(doing)).await {
            Some(done) => done.map_err(Into::into),
            None => Err(Error::Timeout { step, within: limit }),
        }
    }
}

/// The shards of the index, starting with another one each minute, so that each gets its turn when time is short.
pub(super) fn rotated_shards(now: Timestamp) -> impl Iterator<Item = u8> {
    let minute = now.millis() / 60_000;
    let first = u8::try_from(minute % i64::from(SHARDS)).unwrap_or_default();
    (0..SHARDS).map(move |nth| (first + nth) % SHARDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::hold::WAKE_TIMEOUT;
    use std::collections::BTreeSet;

    #[test]
    fn time_limits_leave_time_to_record_the_round() {
        for (limits, stopped) in [(Limits::SCHEDULED, 60), (Limits::BY_HAND, 28)] {
            let Limits { runners, due, ready, held_entries: held, call: one, end } = limits;
            assert!(runners + one < due && due + one < ready && ready + one <= held, "{limits:?}");
            assert!(WAKE_TIMEOUT < one, "{limits:?}: wake-ups take longer than one item");
            // One failed item is postponed, and the earlier gauges are read once more.
            let latest = (due + one * 2).max(held + one) + one;
            assert!(latest + one / 2 <= end && end < Duration::from_secs(stopped), "{limits:?}");
        }
    }

    #[test]
    fn late_work_is_skipped_and_slow_work_is_cut() {
        let clock = Clock::default();
        let limits = Limits { call: Duration::from_millis(20), ..Limits::SCHEDULED };
        let time = RoundTimer::begin(&clock, limits);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let read = async || {
            let doing = std::future::ready(Ok::<_, Error>(7));
            time.run_before(limits.due, "read it", doing).await.map_err(|error| error.to_string())
        };
        assert_eq!(runtime.block_on(read()), Ok(7));
        let hangs = time.run("read it", std::future::pending::<Result<(), Error>>());
        assert!(matches!(runtime.block_on(hangs), Err(Error::Timeout { .. })));
        clock.advance(limits.due);
        assert_eq!(runtime.block_on(read()), Err("read it within 22 s".to_owned()));
    }

    #[test]
    fn each_round_visits_all_shards_in_rotating_order() {
        let rounds =
            |count: u8| (0..i64::from(count)).map(|minute| rotated_shards(Timestamp::from_millis(minute * 60_000)));
        let all: BTreeSet<u8> = (0..SHARDS).collect();
        for round in rounds(SHARDS) {
            assert_eq!(round.collect::<BTreeSet<_>>(), all);
        }
        let first = rounds(SHARDS).filter_map(|mut round| round.next());
        assert_eq!(first.collect::<BTreeSet<_>>(), all);
    }
}
