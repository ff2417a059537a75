//! Sends hints after a write, within a time limit, so that a slow queue does not delay the answer.

use crate::counters::Counter;
use crate::{Context, Error};
use std::time::Duration;

/// Time limit for all hints of one call. The sweeper repeats the rest; some callers must answer within ten seconds.
const HINTS_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for one hint, so that the next ones have time left.
const HINT_TIMEOUT: Duration = Duration::from_secs(3);

impl Context {
    pub(crate) async fn send_hints(&self, telling: impl Future<Output = ()>) {
        if self.clock.with_timeout(HINTS_TIMEOUT, Box::pin(telling)).await.is_none() {
            self.counters().add(Counter::WakeupLost);
            tracing::warn!("some hints not sent in time; the sweeper will send them");
        }
    }

    pub(crate) async fn send_hint(
        &self,
        sending: impl Future<Output = Result<(), pullyard_cloud::Error>>,
    ) -> Result<(), Error> {
        match self.clock.with_timeout(HINT_TIMEOUT, sending).await {
            Some(sent) => Ok(sent?),
            None => Err(Error::Timeout { step: "send a message", within: HINT_TIMEOUT }),
        }
    }
}
