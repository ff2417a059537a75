//! Time limits of a round, its parts and its calls, so that a slow part does not block the others. Limits of parts use
//! the context's monotonic clock, limits of calls use real time.

use crate::{Clock, Error};
use pullyard_domain::run::due::SHARDS;
use pullyard_domain::text::time::Timestamp;
use std::time::Duration;

/// Time until which each part may start a step, from the beginning of the round. Later parts get unused time.
pub(super) const RUNNERS_UNTIL: Duration = Duration::from_secs(8);
pub(super) const DUE_UNTIL: Duration = Duration::from_secs(22);
/// For listing the jobs that wait for runners. The time until `READY_UNTIL` handles the listed ones.
pub(super) const READY_LISTED_UNTIL: Duration = Duration::from_secs(30);
/// For the rest of the index, and jobs that wait for runners.
pub(super) const READY_UNTIL: Duration = Duration::from_secs(36);
/// For waiting entries, and counting jobs.
pub(super) const HELD_ENTRIES_UNTIL: Duration = Duration::from_secs(42);
/// Time limit for one call. Putting a failed item off may take as much again.
const CALL_TIMEOUT: Duration = Duration::from_secs(6);
/// Before the next round, a minute later. Without this round's note, the next one would ignore silent runners.
const END: Duration = Duration::from_secs(58);

pub(super) struct RoundTimer<'a> {
    clock: &'a Clock,
    started: Duration,
}

impl<'a> RoundTimer<'a> {
    pub(super) fn begin(clock: &'a Clock) -> Self {
        Self { clock, started: clock.monotonic() }
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
        future: impl Future<Output = Result<T, impl Into<Error>>>,
    ) -> Result<T, Error> {
        self.run_within(CALL_TIMEOUT, step, future).await
    }

    pub(super) async fn run_before<T>(
        &self,
        until: Duration,
        step: &'static str,
        future: impl Future<Output = Result<T, impl Into<Error>>>,
    ) -> Result<T, Error> {
        self.check(until, step)?;
        self.run(step, future).await
    }

    pub(super) async fn run_last<T>(
        &self,
        step: &'static str,
        future: impl Future<Output = Result<T, impl Into<Error>>>,
    ) -> Result<T, Error> {
        self.run_within(self.remaining(END).max(CALL_TIMEOUT / 2), step, future).await
    }

    async fn run_within<T>(
        &self,
        limit: Duration,
        step: &'static str,
        future: impl Future<Output = Result<T, impl Into<Error>>>,
    ) -> Result<T, Error> {
        // Boxed: the future of a job's end is large and has many call sites here.
        match self.clock.with_timeout(limit, Box::pin(future)).await {
            Some(result) => result.map_err(Into::into),
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
        let call = CALL_TIMEOUT;
        assert!(RUNNERS_UNTIL + call < DUE_UNTIL && DUE_UNTIL + call < READY_LISTED_UNTIL);
        assert!(READY_LISTED_UNTIL + call <= READY_UNTIL);
        assert!(READY_UNTIL + call <= HELD_ENTRIES_UNTIL);
        assert!(WAKE_TIMEOUT < call, "wake-ups take longer than one item");
        // One failed item is postponed. Then the fleet is stored.
        let latest = (DUE_UNTIL + call * 2).max(HELD_ENTRIES_UNTIL + call) + call;
        assert!(latest + call / 2 <= END && END < Duration::from_secs(60));
    }

    #[test]
    fn late_work_is_skipped_and_slow_work_is_cut() {
        let clock = Clock::default();
        let time = RoundTimer::begin(&clock);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let read = async || {
            let doing = std::future::ready(Ok::<_, Error>(7));
            time.run_before(DUE_UNTIL, "read it", doing).await.map_err(|error| error.to_string())
        };
        assert_eq!(runtime.block_on(read()), Ok(7));
        let hangs = std::future::pending::<Result<(), Error>>();
        let hangs = time.run_within(Duration::from_millis(20), "read it", hangs);
        assert!(matches!(runtime.block_on(hangs), Err(Error::Timeout { .. })));
        clock.advance(DUE_UNTIL);
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
