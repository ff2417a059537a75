//! The forge's clock: real time plus an offset that tests set.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const MILLISECOND_MICROS: i64 = 1_000;

#[derive(Debug, Default)]
pub struct Clock {
    offset_secs: AtomicU64,
    last_micros: Mutex<i64>,
}

impl Clock {
    pub fn advance(&self, by: Duration) {
        self.offset_secs.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    fn time(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + Duration::from_secs(self.offset_secs.load(Ordering::SeqCst))
    }

    pub fn now(&self) -> String {
        format(self.time())
    }

    /// Returns the time in microseconds, as on Bitbucket; each call returns a new millisecond.
    /// Bitbucket's verdicts have no id, so clients may identify them by time in milliseconds.
    pub fn now_unique(&self) -> String {
        let now = i64::try_from(self.time().unix_timestamp_nanos() / 1_000).unwrap_or_default();
        let mut last = self.last_micros.lock().unwrap_or_else(PoisonError::into_inner);
        *last = now.max(last.saturating_add(MILLISECOND_MICROS));
        let seconds = format_unix_secs(last.div_euclid(1_000_000));
        let micros = last.rem_euclid(1_000_000);
        format!("{}.{micros:06}Z", seconds.trim_end_matches('Z'))
    }

    pub fn unix_secs(&self) -> i64 {
        self.time().unix_timestamp()
    }
}

pub fn format_unix_secs(unix_secs: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix_secs).map(format).unwrap_or_default()
}

pub fn truncate_to_seconds(moment: &str) -> String {
    moment.split_once('.').map_or_else(|| moment.to_owned(), |(second, _)| format!("{second}Z"))
}

fn format(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0).ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_rise_by_a_millisecond_at_least() {
        let clock = Clock::default();
        let of = |text: &str| OffsetDateTime::parse(text, &Rfc3339).unwrap();
        let mut last = clock.now_unique();
        for _ in 0..100 {
            let next = clock.now_unique();
            assert!(of(&next) - of(&last) >= Duration::from_millis(1), "{last} {next}");
            assert!(next > last, "{last} {next}");
            last = next;
        }
        assert_eq!(truncate_to_seconds("2026-01-02T03:04:05.060708Z"), "2026-01-02T03:04:05Z");
        assert_eq!(truncate_to_seconds("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z");
    }
}
