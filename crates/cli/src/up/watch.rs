//! Warns while `up` runs about a disk that fills up.

use crate::client::Screen;
use crate::disk::free_bytes;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

const CHECK_INTERVAL: Duration = Duration::from_secs(10);
const LOW_BYTES: u64 = 256 << 20;
const ALMOST_FULL_BYTES: u64 = 16 << 20;

/// Ordered: each worse level is one more warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Enough,
    Low,
    AlmostFull,
}

impl Level {
    fn new(free: u64) -> Self {
        match free {
            LOW_BYTES.. => Self::Enough,
            ALMOST_FULL_BYTES.. => Self::Low,
            _ => Self::AlmostFull,
        }
    }
}

pub(super) async fn watch_forever(data: &Path, screen: &Screen) -> Infallible {
    let mut last = Level::Enough;
    loop {
        let free = free_bytes(data);
        let level = free.map_or(Level::Enough, Level::new);
        if level > last {
            let megabytes = free.unwrap_or_default() >> 20;
            let effect = match level {
                Level::AlmostFull => "soon nothing can be stored, and all jobs stop",
                Level::Enough | Level::Low => "jobs fail when it is full",
            };
            screen.warn(&format!("the disk of {} has {megabytes} MB left: {effect}; free some space", data.display()));
        }
        last = level;
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_warning_precedes_a_full_disk() {
        const MB: u64 = 1 << 20;
        for (free, expected) in [
            (256 * MB, Level::Enough),
            (255 * MB, Level::Low),
            (16 * MB, Level::Low),
            (15 * MB, Level::AlmostFull),
            (0, Level::AlmostFull),
        ] {
            assert_eq!(Level::new(free), expected, "{free}");
        }
        assert!(Level::AlmostFull > Level::Low && Level::Low > Level::Enough);
    }
}
