//! Hints, told after a write: nobody whose answer stands in the table waits long for a queue.

use crate::tally::Count;
use crate::{Context, Error};
use std::time::Duration;

/// How long whoever has written something tells of it, all hints together: the sweeper tells what is not told by then,
/// and some have to answer within ten seconds.
const TOGETHER: Duration = Duration::from_secs(5);

/// How long one may take: one that hangs leaves the next some time.
const ONE: Duration = Duration::from_secs(3);

impl Context {
    /// Tells several hints, one after the other, for as long as there is time for all of them. What is not told by then
    /// is lost, as if its message had been.
    pub(crate) async fn hints(&self, telling: impl Future<Output = ()>) {
        if self.clock.within(TOGETHER, Box::pin(telling)).await.is_none() {
            self.tally().add(Count::WakeupLost);
            tracing::warn!("hints were not all sent in time; the sweeper sends what is missing");
        }
    }

    /// Sends one, which takes no longer than one may.
    ///
    /// Errors: that of the queue; `TooSlow`.
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
