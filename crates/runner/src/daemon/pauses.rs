//! Computes the daemon's pauses before claims, heartbeats and retries, from the server's and the operator's intervals.

use std::time::Duration;

pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Varies a duration by up to a quarter, so that runners drift apart. `random` is uniform between 0 and 1.
pub(crate) fn with_jitter(length: Duration, random: f64) -> Duration {
    let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 };
    Duration::try_from_secs_f64(length.as_secs_f64() * (0.75 + random / 2.0)).unwrap_or(length)
}

/// The pause after a number of consecutive failures: it doubles, has jitter, and is at most [`MAX_PAUSE`].
pub(crate) fn back_off(failures: u32, random: f64) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    let factor = 2_u32.saturating_pow(doublings.min(16));
    with_jitter(FIRST_PAUSE.saturating_mul(factor).min(MAX_PAUSE), random).min(MAX_PAUSE)
}

/// The server's interval, or the operator's if longer. After failures it is at least [`back_off`].
pub(crate) fn claim_pause(server: Duration, operator: Option<Duration>, failures: u32, random: f64) -> Duration {
    let poll = server.max(operator.unwrap_or_default());
    with_jitter(poll, random).max(back_off(failures, random))
}

pub(crate) fn heartbeat_pause(server: Duration, operator: Option<Duration>) -> Duration {
    // An operator may set 1 ms, which would flood the API.
    server.min(operator.unwrap_or(server)).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn jitter_stays_within_a_quarter(ms in 0_u64..1_000_000_000, random in 0.0..=1.0_f64) {
            let length = Duration::from_millis(ms);
            let pause = with_jitter(length, random);
            let slack = Duration::from_micros(1);
            prop_assert!(pause + slack >= length * 3 / 4 && pause <= length * 5 / 4 + slack);
        }

        #[test]
        fn backoff_is_at_most_a_minute(failures: u32, random in 0.0..=1.0_f64) {
            let pause = back_off(failures, random);
            prop_assert!(pause <= MAX_PAUSE);
            prop_assert_eq!(pause.is_zero(), failures == 0);
            prop_assert!(failures < 8 || pause >= MAX_PAUSE * 3 / 4);
        }

        #[test]
        fn claim_never_precedes_the_servers_pause(server in 0_u64..100_000, operator: Option<u32>, failures in 0_u32..40, random in 0.0..=1.0_f64) {
            let server = Duration::from_millis(server);
            let operator = operator.map(|ms| Duration::from_millis(u64::from(ms)));
            let pause = claim_pause(server, operator, failures, random);
            prop_assert!(pause + Duration::from_micros(1) >= server.max(operator.unwrap_or_default()) * 3 / 4);
            prop_assert!(pause >= back_off(failures, random));
        }

        #[test]
        fn jitter_of_any_value_does_not_panic(random: f64, secs: u64) {
            let _ = with_jitter(Duration::from_secs(secs), random);
        }
    }

    #[test]
    fn heartbeat_is_never_later_than_the_server_requires() {
        let secs = Duration::from_secs;
        assert_eq!(heartbeat_pause(secs(30), None), secs(30));
        assert_eq!(heartbeat_pause(secs(30), Some(secs(60))), secs(30));
        assert_eq!(heartbeat_pause(secs(30), Some(secs(5))), secs(5));
        assert_eq!(heartbeat_pause(secs(0), None), secs(1));
    }

    #[test]
    fn backoff_doubles_from_500_ms_to_a_minute() {
        for (failures, ms) in [(0, 0), (1, 500), (2, 1_000), (3, 2_000), (7, 32_000), (8, 60_000), (u32::MAX, 60_000)] {
            assert_eq!(back_off(failures, 0.5), Duration::from_millis(ms), "{failures}");
        }
        assert_eq!(claim_pause(Duration::from_secs(3), Some(Duration::from_secs(7)), 0, 0.5), Duration::from_secs(7));
        assert_eq!(claim_pause(Duration::from_secs(3), None, 8, 0.5), MAX_PAUSE);
    }
}
