//! Emulates an EventBridge rule: delivers each event of a source to a function, in order and without a filter.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::Function;
use super::invoke::Invoker;
use super::trigger::Trigger;

/// Attempts per event before it is dropped; EventBridge retries for a day.
const MAX_ATTEMPTS: u32 = 6;
/// Pause after the first failure; doubles with each further failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// Once stopped, undelivered events are lost.
#[must_use]
pub fn forward(mut events: UnboundedReceiver<Value>, function: Function) -> Trigger {
    Trigger::spawn(function, move |invoker, stop| {
        let (invoker, stop) = (Arc::clone(invoker), stop.clone());
        vec![async move {
            loop {
                let event = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    event = events.recv() => event,
                };
                match event {
                    Some(event) => deliver(&invoker, event, &stop).await,
                    None => return,
                }
            }
        }]
    })
}

async fn deliver(invoker: &Invoker, event: Value, stop: &CancellationToken) {
    let mut pause = FIRST_BACKOFF;
    for attempt in 1..=MAX_ATTEMPTS {
        match invoker.invoke(event.clone()).await {
            Ok(_) => return,
            Err(error) if attempt == MAX_ATTEMPTS => {
                tracing::error!(error, attempt, "EventBridge event dropped after its last try");
            }
            Err(error) => {
                tracing::warn!(error, attempt, "EventBridge event will be redelivered");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause *= 2,
                }
            }
        }
    }
}
