//! Wakes entries that wait for their project, after a lost wake-up, a raised or refunded budget, or midnight.

use super::deadlines::{HELD_ENTRIES_UNTIL, RoundTimer};
use super::gauges::count_held;
use super::projects::list_projects_rotated;
use super::report::Report;
use crate::admin::hold::wake_within_budget;
use crate::{Context, Error};
use pullyard_domain::text::id::ProjectId;
use pullyard_store::Gauges;

/// Entries counted per project. A read costs at least half a unit, which covers as many.
const MAX_COUNTED: i32 = 30;

pub(super) async fn sweep_held_entries(
    ctx: &Context,
    time: &RoundTimer<'_>,
    gauges: &mut Gauges,
    report: &mut Report,
) -> Result<(), Error> {
    for id in list_projects_rotated(ctx, time, HELD_ENTRIES_UNTIL).await? {
        time.check(HELD_ENTRIES_UNTIL, "start held entries")?;
        match time.run("start held entries of a project", wake_project(ctx, &id, gauges)).await {
            Ok(woken) => report.woken += woken,
            Err(error) => {
                report.failed += 1;
                gauges.more = true;
                tracing::error!(project = %id, error = %error, "held entries not started");
            }
        }
    }
    Ok(())
}

async fn wake_project(ctx: &Context, id: &ProjectId, gauges: &mut Gauges) -> Result<u32, Error> {
    let held = ctx.store.list_held(id, MAX_COUNTED).await?;
    if held.is_empty() {
        return Ok(0);
    }
    gauges.more |= i32::try_from(held.len()).is_ok_and(|len| len >= MAX_COUNTED);
    count_held(gauges, id, u32::try_from(held.len()).unwrap_or(u32::MAX));
    match ctx.store.load_project(id).await? {
        Some(project) => wake_within_budget(ctx, &project).await,
        None => Ok(0),
    }
}
