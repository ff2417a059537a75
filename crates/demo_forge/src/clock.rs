//! The forge's clock: the real time, plus what its host put it forward by.
//! Times are written as GitHub writes them: RFC 3339, UTC, whole seconds.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_secs: AtomicU64,
}

impl Clock {
    pub(crate) fn put_forward(&self, by: Duration) {
        self.ahead_secs.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    fn time(&self) -> OffsetDateTime {
        let ahead = Duration::from_secs(self.ahead_secs.load(Ordering::SeqCst));
        OffsetDateTime::now_utc()
            .checked_add(ahead.try_into().unwrap_or_default())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    pub(crate) fn now(&self) -> String {
        write(self.time())
    }

    pub(crate) fn unix_secs(&self) -> i64 {
        self.time().unix_timestamp()
    }
}

/// The time of a count of seconds.
pub(crate) fn at(unix_secs: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix_secs).map(write).unwrap_or_default()
}

/// The count of seconds of a time that this module wrote.
pub(crate) fn unix_secs_of(text: &str) -> i64 {
    OffsetDateTime::parse(text, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp)
}

fn write(time: OffsetDateTime) -> String {
    // Formatting a UTC time of this millennium can't fail; an empty time is still better than no forge.
    time.replace_nanosecond(0).ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}
