//! An EventBridge rule: each event of a source is delivered to a function.
//!
//! Owns delivery and its retries, in the order of the source. Filtering is deliberately not here.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::Function;
use super::invoke::Invoker;
use super::trigger::Background;

/// How often one event is tried before it is given up; AWS tries for a day.
const TRIES: u32 = 6;
/// The pause after the first failure; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Rule {
    invoker: Arc<Invoker>,
    background: Background,
}

/// Delivers every event to a function until the source ends.
///
/// Drop stops it once the current invocation is over; events not yet delivered are lost.
#[must_use]
pub fn forward(mut events: UnboundedReceiver<Value>, function: Function) -> Rule {
    let invoker = Arc::new(Invoker::new(function));
    let delivering = Arc::clone(&invoker);
    let background = Background::spawn(move |stop| {
        let stop = stop.clone();
        vec![async move {
            loop {
                let event = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    event = events.recv() => event,
                };
                match event {
                    Some(event) => deliver(&delivering, event, &stop).await,
                    None => return,
                }
            }
        }]
    });
    Rule { invoker, background }
}

impl Rule {
    #[must_use]
    pub fn invocations(&self) -> u64 {
        self.invoker.started()
    }

    /// Stops delivering and waits for the invocation that runs.
    pub async fn shutdown(self) {
        self.background.shutdown().await;
        self.invoker.idle().await;
    }
}

async fn deliver(invoker: &Invoker, event: Value, stop: &CancellationToken) {
    let mut pause = PAUSE;
    for attempt in 1..=TRIES {
        match invoker.invoke(event.clone()).await {
            Ok(_) => return,
            Err(error) if attempt == TRIES => {
                tracing::error!(error, attempt, "an EventBridge event was given up");
            }
            Err(error) => {
                tracing::warn!(error, attempt, "an EventBridge event will be delivered again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause *= 2,
                }
            }
        }
    }
}
