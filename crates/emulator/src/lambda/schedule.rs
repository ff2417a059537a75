//! Emulates EventBridge Scheduler: invokes a function at a fixed rate.
//! A failed invocation is not retried: the next tick follows. Ticks do not overlap; a late one delays the later ones.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::Function;
use super::trigger::Trigger;
use crate::timestamp::{Timestamp, random_uuid};
use crate::{ACCOUNT, REGION};

/// First after one period.
#[must_use]
pub fn every(period: Duration, function: Function) -> Trigger {
    Trigger::spawn(function, move |invoker, stop| {
        let (invoker, stop) = (Arc::clone(invoker), stop.clone());
        vec![async move {
            // Tokio rejects a period of zero.
            let period = period.max(Duration::from_millis(1));
            let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                if let Err(error) = invoker.invoke(scheduled_event()).await {
                    tracing::warn!(error, "scheduled invocation failed");
                }
            }
        }]
    })
}

/// Sends one more scheduled event. `schedule` comes from [`every`].
pub async fn invoke_now(schedule: &Trigger) -> Result<Value, String> {
    schedule.invoker.invoke(scheduled_event()).await
}

fn scheduled_event() -> Value {
    json!({
        "version": "0",
        "id": random_uuid(),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": Timestamp::now().rfc3339(),
        "region": REGION,
        "resources": [format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/local")],
        "detail": "{}",
    })
}
