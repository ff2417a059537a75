//! Counts the inputs of a job, and those that its agent has read.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

#[derive(Clone, Debug)]
pub(crate) struct InputCounts(Arc<SharedCounts>);

#[derive(Debug)]
struct SharedCounts {
    reported_count: watch::Sender<u32>,
    read_count: Mutex<Option<u32>>,
}

impl InputCounts {
    pub(crate) fn new() -> Self {
        Self(Arc::new(SharedCounts { reported_count: watch::Sender::new(0), read_count: Mutex::new(None) }))
    }

    /// Notes a report. A smaller number is an older answer.
    pub(crate) fn record_reported(&self, inputs: u32) {
        self.0.reported_count.send_if_modified(|count| std::mem::replace(count, inputs.max(*count)) < inputs);
    }

    pub(super) fn reported_count(&self) -> u32 {
        *self.0.reported_count.borrow()
    }

    pub(crate) fn read_count(&self) -> Option<u32> {
        *self.0.read_count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record_read(&self, inputs: u32) {
        let mut count = self.0.read_count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = (*count).max(Some(inputs).filter(|inputs| *inputs > 0));
    }

    pub(super) async fn wait_for_more_than(&self, inputs: u32) {
        let mut counts = self.0.reported_count.subscribe();
        if counts.wait_for(|now| *now > inputs).await.is_err() {
            pending::<()>().await;
        }
    }
}
