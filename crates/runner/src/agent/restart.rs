//! Waits before an agent that could not reach its model is started again, and announces the wait.

use super::classify::Transient;
use super::restart_pauses::RestartPauses;
use super::{AttemptUsage, Run};
use crate::inputs::orders::Orders;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use tokio::time::{Instant, sleep, sleep_until};

pub(super) struct RestartLimit<'a> {
    pauses: &'a RestartPauses,
    tally: &'a AttemptUsage,
}

impl<'a> RestartLimit<'a> {
    pub(super) fn new(waits: &'a RestartPauses, tally: &'a AttemptUsage) -> Self {
        Self { pauses: waits, tally }
    }

    /// Announces the pause before the next start and waits. Orders and the end of the attempt's time interrupt it.
    /// Errors: no further start is left; the pause was interrupted.
    pub(super) async fn wait_before_restart(&self, transient: Transient, run: &Run<'_>) -> Result<(), Stop> {
        let wall_secs = run.assignment.limits.wall_secs;
        let tell = |message: String| run.attempt.events.log(message);
        self.wait_within(transient, tell, run.attempt.orders, (run.attempt.deadline, wall_secs)).await
    }

    async fn wait_within(
        &self,
        transient: Transient,
        tell: impl FnOnce(String),
        orders: &Orders,
        (until, wall_secs): (Instant, u64),
    ) -> Result<(), Stop> {
        let done = self.tally.restart_count();
        let Some(wait) = self.pauses.0.get(done).copied() else {
            return Err(transient.into_failure(u64::try_from(done).unwrap_or(u64::MAX)).into());
        };
        self.tally.count_restart();
        let (cause, limit) = (transient.cause, self.pauses.0.len());
        let message = format!("{cause}. Trying again in {} ({} of {limit}).", Span::from(wait), done + 1);
        tracing::info!("{message}");
        tell(message);
        tokio::select! {
            biased;
            order = orders.wait_any() => Err(Stop::Order(order)),
            () = sleep_until(until) => Err(Failure::TimeLimit { limit: Span(wall_secs) }.into()),
            () = sleep(wait) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
