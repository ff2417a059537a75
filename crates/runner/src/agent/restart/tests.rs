//! Tests the waits before an agent is started again.

use super::*;
use crate::agent::restart_pauses::parse_pauses;
use crate::inputs::orders::Order;
use std::time::Duration;

async fn wait(again: &RestartLimit<'_>, orders: &Orders, until: Duration) -> (Result<(), Stop>, Option<String>) {
    let mut told = None;
    let until = (Instant::now() + until, 600);
    let waited = again.wait_within(Transient::overloaded(), |words| told = Some(words), orders, until).await;
    (waited, told)
}

const ONE_HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn waits_default_to_30_60_90_and_reject_bad_lists() {
    assert_eq!(RestartPauses::default(), parse_pauses("30, 60,90").unwrap());
    assert_eq!(parse_pauses(""), Ok(RestartPauses(Vec::new())));
    for wrong in ["30;60", "-1", "x", "9999", "1,1,1,1,1,1,1,1,1,1,1"] {
        assert!(parse_pauses(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn retries_are_announced_until_they_are_used_up() {
    let (schedule, tally, orders) = (RestartPauses(vec![Duration::ZERO; 2]), AttemptUsage::default(), Orders::new());
    for told in 1..=2 {
        // A new `Again` each time: the tally of the attempt counts the retries.
        let (waited, words) = wait(&RestartLimit::new(&schedule, &tally), &orders, ONE_HOUR).await;
        assert_eq!(waited, Ok(()));
        assert_eq!(words.unwrap(), format!("The model was overloaded. Trying again in 0 s ({told} of 2)."));
    }
    let (failed, words) = wait(&RestartLimit::new(&schedule, &tally), &orders, ONE_HOUR).await;
    assert_eq!((failed, words), (Err(Failure::AgentOverloaded { n: 2 }.into()), None));
}

#[tokio::test]
async fn cancel_or_time_limit_ends_a_retry_wait() {
    let (schedule, tally, orders) = (RestartPauses(vec![ONE_HOUR; 2]), AttemptUsage::default(), Orders::new());
    let again = RestartLimit::new(&schedule, &tally);
    let (cut, _) = wait(&again, &orders, Duration::ZERO).await;
    assert_eq!(cut, Err(Failure::TimeLimit { limit: Span(600) }.into()));
    orders.set(Order::Cancel);
    let (cut, told) = wait(&again, &orders, ONE_HOUR).await;
    assert_eq!(cut, Err(Stop::Order(Order::Cancel)));
    assert!(told.unwrap().ends_with("Trying again in 60 min (2 of 2)."));
}
