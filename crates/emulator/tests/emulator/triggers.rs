//! Schedules and EventBridge rules.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pullyard_emulator::lambda::{events, schedule};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use crate::support::{function, wait_until};

#[tokio::test]
async fn schedule_fires_on_request_and_periodically() {
    let echo = function(|event| async move { Ok(event) });
    let schedule = schedule::every(Duration::from_secs(3600), echo);
    let event = schedule::invoke_now(&schedule).await.unwrap();
    assert_eq!(event["source"], "aws.scheduler");
    assert_eq!(event["detail-type"], "Scheduled Event");
    assert!(event["time"].is_string() && event["id"].is_string());
    assert_eq!(schedule.invocations(), 1);
    schedule.shutdown().await;
    let schedule = schedule::every(Duration::from_millis(5), function(|event| async move { Ok(event) }));
    wait_until("the schedule fired", || async { (schedule.invocations() >= 3).then_some(()) }).await;
    schedule.shutdown().await;
}

#[tokio::test]
async fn event_is_retried_until_the_function_succeeds() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared_events = Arc::clone(&seen);
    let fails_twice = function(move |event| {
        let mut seen = shared_events.lock().unwrap();
        seen.push(event);
        let answer = if seen.len() <= 2 { Err("not yet".to_owned()) } else { Ok(Value::Null) };
        async move { answer }
    });
    let (sender, receiver) = unbounded_channel();
    let rule = events::forward(receiver, fails_twice);
    sender.send(json!(1)).unwrap();
    sender.send(json!(2)).unwrap();
    wait_until("both are delivered", || async { (rule.invocations() == 4).then_some(()) }).await;
    rule.shutdown().await;
    assert_eq!(*seen.lock().unwrap(), [json!(1), json!(1), json!(1), json!(2)]);
}
