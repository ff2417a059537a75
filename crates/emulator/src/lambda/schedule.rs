//! EventBridge Scheduler: a function invoked at a fixed rate.
//!
//! Owns the clock and the event. A failed invocation is logged and not retried: the next tick comes.
//! Ticks don't overlap; one that is late moves those behind it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::Function;
use super::invoke::Invoker;
use super::trigger::Background;
use crate::moment::{Moment, random_uuid};
use crate::{ACCOUNT, REGION};

#[derive(Debug)]
pub struct Schedule {
    invoker: Arc<Invoker>,
    background: Background,
}

/// Invokes a function each period; the first time after one period.
///
/// Drop stops it once the current invocation is over.
#[must_use]
pub fn every(period: Duration, function: Function) -> Schedule {
    let invoker = Arc::new(Invoker::new(function));
    let ticking = Arc::clone(&invoker);
    let background = Background::spawn(move |stop| {
        let stop = stop.clone();
        vec![async move {
            // Tokio refuses a period of zero.
            let period = period.max(Duration::from_millis(1));
            let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                if let Err(error) = ticking.invoke(event()).await {
                    tracing::warn!(error, "a scheduled invocation failed");
                }
            }
        }]
    });
    Schedule { invoker, background }
}

impl Schedule {
    /// Invokes the function now, beside the clock, and gives its answer.
    ///
    /// # Errors
    /// The function's own.
    pub async fn fire(&self) -> Result<Value, String> {
        self.invoker.invoke(event()).await
    }

    #[must_use]
    pub fn invocations(&self) -> u64 {
        self.invoker.started()
    }

    /// Stops the clock and waits for the invocations that run.
    pub async fn shutdown(self) {
        self.background.shutdown().await;
        self.invoker.idle().await;
    }
}

fn event() -> Value {
    json!({
        "version": "0",
        "id": random_uuid(),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": Moment::now().rfc3339(),
        "region": REGION,
        "resources": [format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/local")],
        "detail": "{}",
    })
}
