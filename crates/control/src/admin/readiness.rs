//! Reports from the sweeper's item whether the deployment works, and its current load.

use crate::{Context, Error};
use pullyard_domain::text::time::Timestamp;
use pullyard_store::Gauges;
use std::time::Duration;

/// The sweeper runs every minute and counts as late after this silence.
const SWEEP_LATE_AFTER: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweeperGauges {
    OnTime,
    NeverRan,
    Delayed(Duration),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub sweeper: SweeperGauges,
    pub sweep_age: Option<Duration>,
    pub gauges: Option<Gauges>,
}

pub async fn check_readiness(ctx: &Context) -> Result<SweeperGauges, Error> {
    let last = ctx.store.load_sweeper_state().await.inspect_err(|error| {
        tracing::warn!(error = %error, "table read failed");
    })?;
    Ok(sweeper_state(last.map(|last| last.at), ctx.clock.now()))
}

pub async fn load_snapshot(ctx: &Context) -> Result<Snapshot, Error> {
    let last = ctx.store.load_sweeper_state().await?;
    let now = ctx.clock.now();
    let swept = last.as_ref().map(|last| now.since(last.at));
    Ok(Snapshot {
        sweeper: sweeper_state(last.as_ref().map(|last| last.at), now),
        sweep_age: swept,
        gauges: last.and_then(|last| last.gauges),
    })
}

fn sweeper_state(last: Option<Timestamp>, now: Timestamp) -> SweeperGauges {
    match last.map(|last| now.since(last)) {
        None => SweeperGauges::NeverRan,
        Some(silent) if silent > SWEEP_LATE_AFTER => SweeperGauges::Delayed(silent),
        Some(_) => SweeperGauges::OnTime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeper_is_late_after_five_minutes() {
        let at = |secs: i64| Timestamp::from_millis(secs * 1_000);
        assert_eq!(sweeper_state(None, at(0)), SweeperGauges::NeverRan);
        assert_eq!(sweeper_state(Some(at(0)), at(300)), SweeperGauges::OnTime);
        assert_eq!(sweeper_state(Some(at(0)), at(301)), SweeperGauges::Delayed(Duration::from_secs(301)));
        assert_eq!(sweeper_state(Some(at(10)), at(0)), SweeperGauges::OnTime, "clocks may differ");
    }
}
