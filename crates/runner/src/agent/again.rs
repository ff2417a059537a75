//! When an agent that could not reach its model is started again, and how that is told.

use super::classify::Transient;
use super::{Run, Tally};
use crate::orders::Orders;
use crate::said::Said;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use pullyard_protocol::event::EventKind;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How long is waited before each further start; there are no more than that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits(Vec<Duration>);

impl Default for Waits {
    fn default() -> Self {
        Self([30, 60, 90].map(Duration::from_secs).to_vec())
    }
}

/// Reads waits such as `30,60,90`: seconds, at most ten of them, none for no further start.
pub(crate) fn waits(text: &str) -> Result<Waits, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let read: Result<Vec<u64>, _> = parts.map(str::parse).collect();
    match read {
        Ok(secs) if secs.len() <= 10 && secs.iter().all(|secs| *secs <= 3_600) => {
            Ok(Waits(secs.into_iter().map(Duration::from_secs).collect()))
        }
        _ => Err("use at most ten whole numbers up to 3600, such as 30,60,90".into()),
    }
}

/// The further starts of one attempt, however often its agent is told something more: the tally counts them.
pub(super) struct Again<'a> {
    waits: &'a Waits,
    tally: &'a Tally,
}

impl<'a> Again<'a> {
    pub(super) fn new(waits: &'a Waits, tally: &'a Tally) -> Self {
        Self { waits, tally }
    }

    /// Waits before the next start, tells so, and is cut off by orders and the end of the time.
    ///
    /// Errors: all further starts are used up; the wait was cut off.
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
