//! Computes deadlines.

use std::time::Duration;
use tokio::time::Instant;

/// The instant after a duration. Durations from the wire may be huge, so they are limited to a decade.
pub(crate) fn instant_after(at: Instant, length: Duration) -> Instant {
    const DECADE: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
    at + length.min(DECADE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_accepts_any_duration() {
        let now = Instant::now();
        assert!(instant_after(now, Duration::from_secs(u64::MAX)) > now);
        assert_eq!(instant_after(now, Duration::from_secs(5)), now + Duration::from_secs(5));
    }
}
