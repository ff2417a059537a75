//! ECS says that a task stopped.

use crate::tally::Count;
use crate::{Context, Error};
use pullyard_domain::job::NotNow;
use pullyard_domain::task_stopped::TaskStopped;
use pullyard_store::Write;

/// Notes the death of a container. One that died before it claimed is started again later; one that
/// held its job gives the finish a little time to arrive, then the sweeper decides.
///
/// Idempotent: by the task; a repeat finds it noted.
pub async fn task_stopped(ctx: &Context, stopped: &TaskStopped) -> Result<(), Error> {
    let mut rounds = ctx.rounds(&stopped.job);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.job(&stopped.job).await? else {
            return Ok(());
        };
        if job.status.is_terminal() {
            // It stopped because its job had ended, and nothing follows an end: mostly it is this.
            return Ok(());
        }
        let unclaimed = job.awaits(&stopped.arn);
        match job.task_stopped(stopped, now) {
            Ok(next) if ctx.store.update_job(&next).await? == Write::Applied => {
                if unclaimed {
                    ctx.tally().add(Count::TaskStartFailed);
                    tracing::warn!(job.id = %job.id, task = %stopped.arn, reason = %stopped.reason, "a task died before it claimed");
                } else {
                    tracing::warn!(job.id = %job.id, attempt = job.attempt, task = %stopped.arn, reason = %stopped.reason, "a task died under its job");
                }
                return Ok(());
            }
            // It may have claimed since it was read: nobody else tells of this death.
            Ok(_) => rounds.again().await?,
            // An older start of it stopped.
            Err(NotNow::LeaseLost | NotNow::Already) => return Ok(()),
            Err(refusal) => return Err(Error::refused(refusal, now)),
        }
    }
}
