//! Decides whether to retry a failed call, and after which pause.

use std::time::Duration;

use crate::Error;

const MAX_TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A longer pause is returned to the caller, which can do other work in the meantime.
const MAX_REST: Duration = Duration::from_secs(5);

pub(crate) fn pause_after(error: &Error, tried: u32) -> Option<Duration> {
    if !error.is_transient() {
        return None;
    }
    match error {
        Error::RateLimited { retry_after, .. } if *retry_after > MAX_REST => None,
        Error::RateLimited { retry_after, .. } => pause(tried).map(|_| *retry_after),
        _ => pause(tried),
    }
}

pub(crate) fn pause(tried: u32) -> Option<Duration> {
    if tried >= MAX_TRIES {
        return None;
    }
    let longest = FIRST_PAUSE * 2_u32.pow(tried.saturating_sub(1));
    // Jitter prevents calls that failed together from retrying together.
    Some(rand::random_range(longest / 2..=longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(secs: u64) -> Error {
        let retry_after = Duration::from_secs(secs);
        Error::RateLimited { host: "h".to_owned(), retry_after }
    }

    #[test]
    fn pauses_double_and_end_after_two() {
        for _ in 0..100 {
            let (first, second) = (pause(1).unwrap(), pause(2).unwrap());
            assert!((Duration::from_millis(125)..=FIRST_PAUSE).contains(&first));
            assert!((FIRST_PAUSE..=FIRST_PAUSE * 2).contains(&second));
        }
        assert_eq!(pause(3), None);
    }

    #[test]
    fn rate_limit_is_awaited_or_the_retry_skipped() {
        assert_eq!(pause_after(&limited(2), 1), Some(Duration::from_secs(2)));
        assert_eq!(pause_after(&limited(2), 3), None);
        assert_eq!(pause_after(&limited(60), 1), None);
    }

    #[test]
    fn permanent_error_is_not_retried() {
        let refused = Error::Refused { reason: "no".to_owned() };
        assert_eq!(pause_after(&refused, 1), None);
    }
}
