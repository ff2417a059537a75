//! Waits before an agent that could not reach its model is started again, and announces the wait.

use super::classify::Transient;
use super::waits::Waits;
use super::{Run, Tally};
use crate::api::said::Said;
use crate::inputs::orders::Orders;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use pullyard_protocol::event::EventKind;
use tokio::time::{Instant, sleep, sleep_until};

/// Limits the further starts of a whole attempt, because the tally counts them.
pub(super) struct Again<'a> {
    waits: &'a Waits,
    tally: &'a Tally,
}

impl<'a> Again<'a> {
    pub(super) fn new(waits: &'a Waits, tally: &'a Tally) -> Self {
        Self { waits, tally }
    }

    /// Announces the pause before the next start and waits. Orders and the end of the attempt's time interrupt it.
    ///
    /// Errors: no further start is left; the pause was interrupted.
    pub(super) async fn wait(&self, transient: Transient, run: &Run<'_>) -> Result<(), Stop> {
        let wall_secs = run.assignment.limits.wall_secs;
        let tell = |words| run.events.add(Said::words(EventKind::Log, words));
        self.wait_within(transient, tell, run.orders, (run.until, wall_secs)).await
    }

    async fn wait_within(
        &self,
        transient: Transient,
        tell: impl FnOnce(String),
        orders: &Orders,
        (until, wall_secs): (Instant, u64),
    ) -> Result<(), Stop> {
        let done = self.tally.further_starts();
        let Some(wait) = self.waits.0.get(done).copied() else {
            return Err(transient.for_good(u64::try_from(done).unwrap_or(u64::MAX)).into());
        };
        self.tally.starts_further();
        let (cause, most) = (transient.cause, self.waits.0.len());
        let words = format!("{cause}. Trying again in {} ({} of {most}).", Span::from(wait), done + 1);
        tracing::info!("{words}");
        tell(words);
        tokio::select! {
            biased;
            order = orders.any() => Err(Stop::Ordered(order)),
            () = sleep_until(until) => Err(Failure::TimeLimit { limit: Span(wall_secs) }.into()),
            () = sleep(wait) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
