//! Counts the inputs of a job, and those that its agent has read.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

#[derive(Clone, Debug)]
pub(crate) struct Given(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    given: watch::Sender<u32>,
    /// Inputs that the agent has read; `None` before the first.
    heard: Mutex<Option<u32>>,
}

impl Given {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Counts { given: watch::Sender::new(0), heard: Mutex::new(None) }))
    }

    /// Notes a report. A smaller number is an older answer.
    pub(crate) fn note(&self, inputs: u32) {
        self.0.given.send_if_modified(|known| {
            let more = inputs > *known;
            *known = inputs.max(*known);
            more
        });
    }

    pub(super) fn now(&self) -> u32 {
        *self.0.given.borrow()
    }

    /// For the next batch of events.
    pub(crate) fn heard(&self) -> Option<u32> {
        *self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_heard(&self, inputs: u32) {
        let mut heard = self.0.heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = (*heard).max(Some(inputs).filter(|inputs| *inputs > 0));
    }

    pub(super) async fn more_than(&self, inputs: u32) {
        let mut given = self.0.given.subscribe();
        if given.wait_for(|now| *now > inputs).await.is_err() {
            // Never: `self` holds the sender.
            pending::<()>().await;
        }
    }
}
