//! Sends hints after a write, within a time limit, so that a slow queue does not delay the answer.

use crate::tally::Count;
use crate::{Context, Error};
use std::time::Duration;

/// Time limit for all hints of one call. The sweeper repeats the rest; some callers must answer within ten seconds.
const TOGETHER: Duration = Duration::from_secs(5);

/// Time limit for one hint, so that the next ones have time left.
const ONE: Duration = Duration::from_secs(3);

impl Context {
    pub(crate) async fn hints(&self, telling: impl Future<Output = ()>) {
        if self.clock.within(TOGETHER, Box::pin(telling)).await.is_none() {
            self.tally().add(Count::WakeupLost);
            tracing::warn!("some hints not sent in time; the sweeper will send them");
        }
    }

    pub(crate) async fn hint(
        &self,
        sending: impl Future<Output = Result<(), pullyard_cloud::Error>>,
    ) -> Result<(), Error> {
        match self.clock.within(ONE, sending).await {
            Some(sent) => Ok(sent?),
            None => Err(Error::TooSlow { what: "send a message", within: ONE }),
        }
    }
}
