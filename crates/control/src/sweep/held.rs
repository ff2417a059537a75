//! One round over the entries that wait until their projects may start jobs: a release whose wake-ups were
//! lost, a budget that was raised, dollars that came back, and every midnight are found here.

use super::report::Report;
use crate::hold::take_up_held;
use crate::{Context, Error};
use pullyard_domain::id::ProjectId;

/// How many projects are read at once.
const PAGE: i32 = 100;

/// Wakes what waits for nothing any more.
pub(super) async fn sweep_held(ctx: &Context, report: &mut Report) -> Result<(), Error> {
    let mut after = None;
    loop {
        let (projects, next) = ctx.store.project_ids(after.as_deref(), PAGE).await?;
        for id in projects {
            match look(ctx, &id).await {
                Ok(woken) => report.tickets += woken,
                Err(error) => {
                    report.failed += 1;
                    tracing::error!(project = %id, error = %error, "what waits for a project could not be taken up");
                }
            }
        }
        after = next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Most projects have nothing that waits, and only the index says so.
async fn look(ctx: &Context, id: &ProjectId) -> Result<u32, Error> {
    if ctx.store.held(id, 1).await?.is_empty() {
        return Ok(0);
    }
    match ctx.store.project(id).await? {
        Some(project) => take_up_held(ctx, &project).await,
        None => Ok(0),
    }
}
