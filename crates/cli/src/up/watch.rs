//! Warns about clock jumps and full disks while `up` runs.

use crate::client::Screen;
use crate::disk::free_bytes;
use pullyard_domain::text::Span;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Corrections by time services are smaller.
const MIN_JUMP: Duration = Duration::from_secs(60);
const LOW_DISK_BYTES: u64 = 256 << 20;

pub(super) struct Clock {
    file: PathBuf,
    wall: SystemTime,
    steady: Instant,
}

impl Clock {
    /// Compares with the last run: if the clock was set back, everything due is late.
    pub(super) fn start(data: &Path, screen: &Screen) -> Self {
        let clock = Self { file: data.join("last-seen"), wall: SystemTime::now(), steady: Instant::now() };
        let last = fs::read_to_string(&clock.file).ok().and_then(|text| text.trim().parse().ok());
        let last = last.and_then(|secs| UNIX_EPOCH.checked_add(Duration::from_secs(secs)));
        if let Some(behind) = last.and_then(|last| last.duration_since(clock.wall).ok()).filter(|by| *by > MIN_JUMP) {
            screen.warn(&format!(
                "the clock is {} behind the last run of Pullyard; scheduled work is late by that time",
                Span::from(behind)
            ));
        }
        clock.save();
        clock
    }

    fn detect_jump(&mut self) -> Option<(Duration, &'static str)> {
        let (wall, steady) = (SystemTime::now(), Instant::now());
        let expected = self.wall + steady.duration_since(self.steady);
        (self.wall, self.steady) = (wall, steady);
        match wall.duration_since(expected) {
            Ok(ahead) if ahead > MIN_JUMP => Some((ahead, "forward")),
            Err(behind) if behind.duration() > MIN_JUMP => Some((behind.duration(), "back")),
            _ => None,
        }
    }

    fn save(&self) {
        let secs = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let _ = fs::write(&self.file, secs.to_string());
    }
}

pub(super) async fn watch_forever(mut clock: Clock, data: &Path, screen: &Screen) -> Infallible {
    let mut full = false;
    loop {
        if let Some((by, way)) = clock.detect_jump() {
            let so = match way {
                "forward" => "jobs that were running may have reached their time limit",
                _ => "scheduled work is late by that time",
            };
            screen.warn(&format!("the clock moved {way} by {} (or this machine slept): {so}", Span::from(by)));
        }
        clock.save();
        let free = free_bytes(data);
        let now_full = free.is_some_and(|free| free < LOW_DISK_BYTES);
        if now_full && !full {
            let megabytes = free.unwrap_or_default() >> 20;
            screen.warn(&format!(
                "the disk of {} has {megabytes} MB left: jobs fail when it is full; free some space",
                data.display()
            ));
        }
        full = now_full;
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(moved: impl Fn(SystemTime) -> SystemTime) -> Clock {
        Clock { file: PathBuf::new(), wall: moved(SystemTime::now()), steady: Instant::now() }
    }

    #[test]
    fn clock_jump_is_detected_once() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(clock(|now| now).detect_jump(), None);
        let mut forward = clock(|now| now - hour);
        assert!(matches!(forward.detect_jump(), Some((by, "forward")) if by + MIN_JUMP > hour));
        assert_eq!(forward.detect_jump(), None);
        assert!(matches!(clock(|now| now + hour).detect_jump(), Some((by, "back")) if by + MIN_JUMP > hour));
    }
}
