//! Retries calls to the control plane and to forges, and classifies refusals of the control plane.

use pullyard_protocol::client::Error;
use rand::RngExt;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptCallFailure {
    LeaseLost,
    JobCancelled,
    Final,
    Transient,
}

pub(crate) fn classify_error(error: &Error) -> AttemptCallFailure {
    match error {
        // A proxy's refusal, which is unreadable, may pass.
        Error::Unreachable { .. } | Error::Unreadable { .. } => AttemptCallFailure::Transient,
        Error::Problem(problem) if problem.code == "gateway" => AttemptCallFailure::Transient,
        Error::Problem(problem) => match (problem.status, problem.code.as_str()) {
            (409, "unwanted") => AttemptCallFailure::JobCancelled,
            (409, _) => AttemptCallFailure::LeaseLost,
            (408 | 425 | 429, _) => AttemptCallFailure::Transient,
            (400..500, _) => AttemptCallFailure::Final,
            _ => AttemptCallFailure::Transient,
        },
    }
}

pub(crate) struct BackOff(Duration);

impl BackOff {
    pub(crate) fn new() -> Self {
        Self(Duration::from_millis(200))
    }

    pub(crate) fn next(&mut self) -> Duration {
        let limit = self.0;
        self.0 = (limit * 2).min(Duration::from_secs(15));
        rand::rng().random_range(limit / 2..=limit)
    }
}

/// Repeats a call while its server is unreachable, for a limited time.
pub(crate) async fn retry_while_unreachable<T, E>(
    limit: Duration,
    is_unreachable: impl Fn(&E) -> bool,
    attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    retry_with_pause(limit, |error| is_unreachable(error).then_some(Duration::ZERO), attempt).await
}

/// Repeats a call to a service that may demand a pause. `min_pause` returns `None` for a final failure. A pause beyond
/// the limit ends the retries.
pub(crate) async fn retry_with_pause<T, E>(
    limit: Duration,
    min_pause: impl Fn(&E) -> Option<Duration>,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let (since, mut back_off) = (Instant::now(), BackOff::new());
    loop {
        let result = attempt().await;
        let Some(minimum) = result.as_ref().err().and_then(&min_pause) else { return result };
        let pause = back_off.next().max(minimum);
        if since.elapsed().saturating_add(pause) > limit {
            return result;
        }
        sleep(pause).await;
    }
}

/// The pause that a forge demands; `None` if the call will never succeed.
pub(crate) fn retry_pause(error: &pullyard_forge::Error) -> Option<Duration> {
    match error {
        pullyard_forge::Error::RateLimited { retry_after, .. } => Some(*retry_after),
        error => error.is_transient().then_some(Duration::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_protocol::Problem;

    fn check(status: u16, code: &str, expected: AttemptCallFailure) {
        let problem = Problem {
            kind: "about:blank".into(),
            title: String::new(),
            status,
            code: code.into(),
            detail: String::new(),
            help: None,
            pointer: None,
            faults: Vec::new(),
            recorded: None,
        };
        assert_eq!(classify_error(&Error::Problem(Box::new(problem))), expected, "{status} {code}");
    }

    #[test]
    fn refusals_are_classified_by_status_and_code() {
        check(409, "lease_lost", AttemptCallFailure::LeaseLost);
        check(409, "unwanted", AttemptCallFailure::JobCancelled);
        check(409, "not_now", AttemptCallFailure::LeaseLost);
        check(400, "bad_request", AttemptCallFailure::Final);
        check(403, "gateway", AttemptCallFailure::Transient);
        check(429, "slow_down", AttemptCallFailure::Transient);
        check(503, "busy", AttemptCallFailure::Transient);
        // Temporary statuses, and statuses that proxies send.
        for status in [408, 425, 500, 504, 302] {
            check(status, "no", AttemptCallFailure::Transient);
        }
        check(409, "gateway", AttemptCallFailure::Transient);
        for status in [401, 404, 412, 422, 499] {
            check(status, "no", AttemptCallFailure::Final);
        }
        let (url, reason) = (String::new(), String::new());
        assert_eq!(
            classify_error(&Error::Unreachable { url: url.clone(), reason: reason.clone() }),
            AttemptCallFailure::Transient
        );
        assert_eq!(classify_error(&Error::Unreadable { url, reason }), AttemptCallFailure::Transient);
    }

    #[test]
    fn backoff_doubles_from_200_ms_to_15_s_with_jitter() {
        let mut back_off = BackOff::new();
        for max in [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000] {
            let (max, pause) = (Duration::from_millis(max), back_off.next());
            assert!((max / 2..=max).contains(&pause), "{pause:?} of {max:?}");
        }
        let firsts: std::collections::BTreeSet<Duration> = (0..20).map(|_| BackOff::new().next()).collect();
        assert!(firsts.len() > 1);
    }

    #[tokio::test]
    async fn unreachable_is_retried_and_a_refusal_is_final() {
        let (mut calls, limit) = (0, Duration::from_secs(60));
        let recovered = retry_while_unreachable(
            limit,
            |is_unreachable| *is_unreachable,
            async || {
                calls += 1;
                if calls < 3 { Err(true) } else { Ok(calls) }
            },
        );
        assert_eq!(recovered.await, Ok(3));
        let mut calls = 0;
        let refused = retry_while_unreachable(
            limit,
            |is_unreachable| *is_unreachable,
            async || {
                calls += 1;
                Err::<(), _>(calls < 2)
            },
        );
        assert_eq!((refused.await, calls), (Err(false), 2));
        let mut calls = 0;
        let timed_out = retry_while_unreachable(
            Duration::ZERO,
            |is_unreachable| *is_unreachable,
            async || {
                calls += 1;
                Err::<(), _>(true)
            },
        );
        assert_eq!((timed_out.await, calls), (Err(true), 1));
    }

    #[tokio::test]
    async fn retry_after_is_honoured_within_the_time_limit() {
        let limited = |retry_after| pullyard_forge::Error::RateLimited { host: "h".into(), retry_after };
        // Longer than the first pause.
        let delay = Duration::from_millis(400);
        let (mut calls, since) = (0, Instant::now());
        let result = retry_with_pause(Duration::from_secs(60), retry_pause, async || {
            calls += 1;
            if calls < 2 { Err(limited(delay)) } else { Ok(calls) }
        });
        assert!(matches!(result.await, Ok(2)) && since.elapsed() >= delay);
        for (limit, delay) in [(60, Duration::from_secs(61)), (90, Duration::MAX)] {
            let mut calls = 0;
            let result = retry_with_pause(Duration::from_secs(limit), retry_pause, async || {
                calls += 1;
                Err::<(), _>(limited(delay))
            });
            assert!(result.await.is_err());
            assert_eq!(calls, 1, "{delay:?}");
        }
    }
}
