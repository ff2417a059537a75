//! Handles the event that an ECS task stopped.

use crate::counters::Counter;
use crate::{Context, Error};
use pullyard_domain::job::TransitionRefusal;
use pullyard_domain::job::task_stop::TaskStop;
use pullyard_store::Write;

/// Restarts a job whose task stopped before its claim. A job that was claimed gets a little time for a late finish.
/// Idempotent: by the task.
pub async fn record_task_stop(ctx: &Context, stopped: &TaskStop) -> Result<(), Error> {
    let mut rounds = ctx.retries(&stopped.job);
    loop {
        let now = ctx.clock.now();
        // Usually the task stopped because its job ended.
        let job = ctx.store.load_job(&stopped.job).await?.filter(|job| !job.status.is_terminal());
        let Some(job) = job else { return Ok(()) };
        let unclaimed = job.is_awaiting_claim(&stopped.arn);
        match job.record_task_stop(stopped, now) {
            Ok(next) if ctx.store.update_job(&next).await? == Write::Applied => {
                if unclaimed {
                    if next.dispatch.fault.as_ref().is_some_and(|failed| failed.last.is_alarming()) {
                        ctx.counters().add(Counter::TaskStartFailed);
                    }
                    tracing::warn!(job.id = %job.id, task = %stopped.arn, reason = %stopped.reason, "task stopped before its claim");
                } else {
                    tracing::warn!(job.id = %job.id, attempt = job.attempt, task = %stopped.arn, reason = %stopped.reason, "task stopped while it held its job");
                }
                return Ok(());
            }
            // The task may have claimed concurrently. Retry, because no other event reports this death.
            Ok(_) => rounds.backoff().await?,
            Err(TransitionRefusal::LeaseLost | TransitionRefusal::AlreadyDone) => return Ok(()),
            Err(refusal) => return Err(Error::from_refusal(refusal, now)),
        }
    }
}
