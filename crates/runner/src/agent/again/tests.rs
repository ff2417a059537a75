//! Tests the waits before an agent is started again.

use super::*;
use crate::agent::waits::waits;
use crate::inputs::orders::Order;
use std::time::Duration;

async fn wait(again: &Again<'_>, orders: &Orders, until: Duration) -> (Result<(), Stop>, Option<String>) {
    let mut told = None;
    let until = (Instant::now() + until, 600);
    let waited = again.wait_within(Transient::overloaded(), |words| told = Some(words), orders, until).await;
    (waited, told)
}

const LONG: Duration = Duration::from_secs(3_600);

#[test]
fn waits_default_to_30_60_90_and_reject_bad_lists() {
    assert_eq!(Waits::default(), waits("30, 60,90").unwrap());
    assert_eq!(waits(""), Ok(Waits(Vec::new())));
    for wrong in ["30;60", "-1", "x", "9999", "1,1,1,1,1,1,1,1,1,1,1"] {
        assert!(waits(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn retries_are_announced_until_they_are_used_up() {
    let (schedule, tally, orders) = (Waits(vec![Duration::ZERO; 2]), Tally::default(), Orders::new());
    for told in 1..=2 {
        // A new `Again` each time: the tally of the attempt counts the retries.
        let (waited, words) = wait(&Again::new(&schedule, &tally), &orders, LONG).await;
        assert_eq!(waited, Ok(()));
        assert_eq!(words.unwrap(), format!("The model was overloaded. Trying again in 0 s ({told} of 2)."));
    }
    let (failed, words) = wait(&Again::new(&schedule, &tally), &orders, LONG).await;
    assert_eq!((failed, words), (Err(Failure::AgentOverloaded { n: 2 }.into()), None));
}

#[tokio::test]
async fn cancel_or_time_limit_ends_a_retry_wait() {
    let (schedule, tally, orders) = (Waits(vec![LONG; 2]), Tally::default(), Orders::new());
    let again = Again::new(&schedule, &tally);
    let (cut, _) = wait(&again, &orders, Duration::ZERO).await;
    assert_eq!(cut, Err(Failure::TimeLimit { limit: Span(600) }.into()));
    orders.give(Order::Cancel);
    let (cut, told) = wait(&again, &orders, LONG).await;
    assert_eq!(cut, Err(Stop::Ordered(Order::Cancel)));
    assert!(told.unwrap().ends_with("Trying again in 60 min (2 of 2)."));
}
