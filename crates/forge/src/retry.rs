//! Decides whether to retry a failed call, and after which pause.

use std::time::Duration;

use crate::Error;

const MAX_TRIES: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// A longer pause is returned to the caller, which can do other work in the meantime.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5);

pub(crate) fn retry_delay(error: &Error, tries: u32) -> Option<Duration> {
    if !error.is_transient() {
        return None;
    }
    match error {
        Error::RateLimited { retry_after, .. } if *retry_after > MAX_RETRY_AFTER => None,
        Error::RateLimited { retry_after, .. } => backoff(tries).map(|_| *retry_after),
        _ => backoff(tries),
    }
}

pub(crate) fn backoff(tries: u32) -> Option<Duration> {
    if tries >= MAX_TRIES {
        return None;
    }
    let max_delay = FIRST_BACKOFF * 2_u32.pow(tries.saturating_sub(1));
    // Jitter prevents calls that failed together from retrying together.
    Some(rand::random_range(max_delay / 2..=max_delay))
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
            let (first, second) = (backoff(1).unwrap(), backoff(2).unwrap());
            assert!((Duration::from_millis(125)..=FIRST_BACKOFF).contains(&first));
            assert!((FIRST_BACKOFF..=FIRST_BACKOFF * 2).contains(&second));
        }
        assert_eq!(backoff(3), None);
    }

    #[test]
    fn rate_limit_is_awaited_or_the_retry_skipped() {
        assert_eq!(retry_delay(&limited(2), 1), Some(Duration::from_secs(2)));
        assert_eq!(retry_delay(&limited(2), 3), None);
        assert_eq!(retry_delay(&limited(60), 1), None);
    }

    #[test]
    fn permanent_error_is_not_retried() {
        let refused = Error::Refused { reason: "no".to_owned() };
        assert_eq!(retry_delay(&refused, 1), None);
    }
}
