//! Computes deadlines.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Git is killed this long before the grant of a push ends, because its last packet may still be in transit.
const PUSH_MARGIN: Duration = Duration::from_secs(30);
/// The grant of a control plane that names no time.
const DEFAULT_GRANT: Duration = Duration::from_secs(120);

/// A deadline that pauses of the attempt move.
#[derive(Debug)]
pub(crate) struct Deadline(Mutex<Instant>);

impl Deadline {
    pub(crate) fn new(at: Instant) -> Self {
        Self(Mutex::new(at))
    }

    pub(crate) fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn extend(&self, by: Duration) {
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *at = instant_after(*at, by);
    }

    /// Waits for the deadline, and longer if it moves.
    pub(crate) async fn reached(&self) {
        loop {
            let at = self.get();
            sleep_until(at).await;
            if at == self.get() {
                return;
            }
        }
    }
}

/// The instant after a duration. Durations from the wire may be huge, so they are limited to a decade.
pub(crate) fn instant_after(at: Instant, length: Duration) -> Instant {
    const DECADE: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
    at + length.min(DECADE)
}

/// The time when a push must be done. `requested_at` is an instant before the status `syncing` was first sent.
pub(crate) fn push_deadline(requested_at: Instant, push_for_secs: Option<u64>) -> Instant {
    let grant = push_for_secs.map_or(DEFAULT_GRANT, Duration::from_secs);
    instant_after(requested_at, grant.saturating_sub(PUSH_MARGIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn moved_deadline_is_reached_later() {
        let deadline = Deadline::new(Instant::now());
        deadline.reached().await;
        deadline.extend(Duration::from_secs(3_600));
        assert_eq!(deadline.reached().now_or_never(), None);
        deadline.extend(Duration::MAX);
        assert!(deadline.get() > Instant::now());
    }

    #[test]
    fn later_accepts_any_duration() {
        let now = Instant::now();
        assert!(instant_after(now, Duration::from_secs(u64::MAX)) > now);
        assert_eq!(instant_after(now, Duration::from_secs(5)), now + Duration::from_secs(5));
    }

    #[test]
    fn push_deadline_is_30_s_before_the_granted_time() {
        let requested_at = Instant::now();
        assert_eq!(push_deadline(requested_at, Some(120)), requested_at + Duration::from_secs(90));
        assert_eq!(push_deadline(requested_at, None), requested_at + Duration::from_secs(90));
        assert_eq!(push_deadline(requested_at, Some(20)), requested_at);
    }
}
