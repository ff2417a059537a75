//! Wakes entries that wait for their project, after a lost wake-up, a raised or refunded budget, or midnight.

use super::projects::all_in_turn;
use super::report::Report;
use super::time::Time;
use crate::admin::hold::take_up_held;
use crate::{Context, Error};
use pullyard_domain::gauges::Gauges;
use pullyard_domain::id::ProjectId;

/// Entries counted per project. A read costs at least half a unit, which covers as many.
const COUNTED: i32 = 30;

pub(super) async fn sweep_held(
    ctx: &Context,
    time: &Time<'_>,
    gauges: &mut Gauges,
    report: &mut Report,
) -> Result<(), Error> {
    let until = time.limits.held;
    for id in all_in_turn(ctx, time, until).await? {
        time.still(until, "start held entries")?;
        match time.one("start held entries of a project", look(ctx, &id, gauges)).await {
            Ok(woken) => report.tickets += woken,
            Err(error) => {
                report.failed += 1;
                gauges.more = true;
                tracing::error!(project = %id, error = %error, "held entries not started");
            }
        }
    }
    Ok(())
}

async fn look(ctx: &Context, id: &ProjectId, gauges: &mut Gauges) -> Result<u32, Error> {
    let held = ctx.store.held(id, COUNTED).await?;
    if held.is_empty() {
        return Ok(0);
    }
    gauges.more |= i32::try_from(held.len()).is_ok_and(|len| len >= COUNTED);
    gauges.add_held(id, u32::try_from(held.len()).unwrap_or(u32::MAX));
    match ctx.store.project(id).await? {
        Some(project) => take_up_held(ctx, &project).await,
        None => Ok(0),
    }
}
