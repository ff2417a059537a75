//! Counts the inputs of a job, and those that its agent has read.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

#[derive(Clone, Debug)]
pub(crate) struct InputCounts(Arc<SharedCounts>);

#[derive(Debug)]
struct SharedCounts {
    reported: watch::Sender<u32>,
    /// Inputs that the agent has read; `None` before the first.
    read: Mutex<Option<u32>>,
}

impl InputCounts {
    pub(crate) fn new() -> Self {
        Self(Arc::new(SharedCounts { reported: watch::Sender::new(0), read: Mutex::new(None) }))
    }

    /// Notes a report. A smaller number is an older answer.
    pub(crate) fn note_reported(&self, inputs: u32) {
        self.0.reported.send_if_modified(|known| {
            let more = inputs > *known;
            *known = inputs.max(*known);
            more
        });
    }

    pub(super) fn reported(&self) -> u32 {
        *self.0.reported.borrow()
    }

    /// For the next batch of events.
    pub(crate) fn read_inputs(&self) -> Option<u32> {
        *self.0.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_read(&self, inputs: u32) {
        let mut heard = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = (*heard).max(Some(inputs).filter(|inputs| *inputs > 0));
    }

    pub(super) async fn wait_for_more_than(&self, inputs: u32) {
        let mut given = self.0.reported.subscribe();
        if given.wait_for(|now| *now > inputs).await.is_err() {
            // Never: `self` holds the sender.
            pending::<()>().await;
        }
    }
}
