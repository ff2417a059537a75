//! Publishes "ECS Task State Change" events to subscribers; `lambda::events` delivers them to functions.
//! Their times are numbers, unlike on AWS.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::record::TaskDescription;
use crate::timestamp::{Timestamp, random_uuid};
use crate::{ACCOUNT, REGION};

#[derive(Debug, Default)]
pub(super) struct Events {
    subscribers: Mutex<Vec<UnboundedSender<Value>>>,
    drop_events: AtomicBool,
}

impl Events {
    pub(super) fn subscribe(&self) -> UnboundedReceiver<Value> {
        let (sender, receiver) = unbounded_channel();
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    pub(super) fn set_drop_events(&self, lost: bool) {
        self.drop_events.store(lost, Ordering::Relaxed);
    }

    /// Returns whether a subscriber remains; an event dropped by `set_drop_events` counts as delivered.
    pub(super) fn publish(&self, task: &TaskDescription) -> bool {
        if self.drop_events.load(Ordering::Relaxed) {
            return true;
        }
        let event = envelope(task);
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
        !subscribers.is_empty()
    }
}

fn envelope(task: &TaskDescription) -> Value {
    json!({
        "version": "0",
        "id": random_uuid(),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": ACCOUNT,
        "time": Timestamp::now().rfc3339(),
        "region": REGION,
        "resources": [task.task_arn],
        "detail": task.to_json(),
    })
}
