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
fn three_further_starts_after_half_a_minute_and_more_each_time() {
    assert_eq!(Waits::default(), waits("30, 60,90").unwrap());
    assert_eq!(waits(""), Ok(Waits(Vec::new())));
    for wrong in ["30;60", "-1", "x", "9999", "1,1,1,1,1,1,1,1,1,1,1"] {
        assert!(waits(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn each_wait_is_told_and_after_the_last_it_is_a_failure() {
    let (schedule, tally, orders) = (Waits(vec![Duration::ZERO; 2]), Tally::default(), Orders::new());
    for told in 1..=2 {
        // One for each time that the agent is told something: the attempt is the same.
        let (waited, words) = wait(&Again::new(&schedule, &tally), &orders, LONG).await;
        assert_eq!(waited, Ok(()));
        assert_eq!(words.unwrap(), format!("The model was overloaded. Trying again in 0 s ({told} of 2)."));
    }
    let (failed, words) = wait(&Again::new(&schedule, &tally), &orders, LONG).await;
    assert_eq!((failed, words), (Err(Failure::AgentOverloaded { n: 2 }.into()), None));
}

#[tokio::test]
async fn orders_and_the_end_of_the_time_cut_a_wait() {
    let (schedule, tally, orders) = (Waits(vec![LONG; 2]), Tally::default(), Orders::new());
    let again = Again::new(&schedule, &tally);
    let (cut, _) = wait(&again, &orders, Duration::ZERO).await;
    assert_eq!(cut, Err(Failure::TimeLimit { limit: Span(600) }.into()));
    orders.give(Order::Cancel);
    let (cut, told) = wait(&again, &orders, LONG).await;
    assert_eq!(cut, Err(Stop::Ordered(Order::Cancel)));
    assert!(told.unwrap().ends_with("Trying again in 60 min (2 of 2)."));
}
