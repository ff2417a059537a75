//! Requeues a job after a lost or failed attempt.

use crate::counters::Counter;
use crate::jobs::finish_job::{WriteParts, ended_attempt};
use crate::jobs::suspension::write_suspension;
use crate::{Context, Error};
use pullyard_domain::failure::Failure;
use pullyard_domain::job::{AttemptEnd, Job, JobStatus, Placement};
use pullyard_domain::time::Timestamp;
use pullyard_store::{RunnerCondition, Write};

/// Writes a requeued job, or its end or pause if one was requested.
pub(crate) async fn write_requeue(
    ctx: &Context,
    before: &Job,
    job: &Job,
    failure: Failure,
    parts: WriteParts<'_>,
    now: Timestamp,
) -> Result<Write, Error> {
    let ended = AttemptEnd::Requeued { failure: failure.clone() };
    if job.status.is_terminal() || job.status == JobStatus::Paused {
        return write_suspension(ctx, before, job, ended, parts, now).await;
    }
    let Some(attempt) = ended_attempt(before, ended, parts, now) else {
        return Err(Error::Inconsistent("a job without a holder can't be requeued".into()));
    };
    let proof = parts.runner.unwrap_or(RunnerCondition::Exists);
    let write = ctx.store.requeue_job(before, job, &attempt, proof).await?;
    if write == Write::Applied {
        ctx.counters().add(Counter::JobRequeued);
        tracing::warn!(job.id = %job.id, attempt = before.attempt, failure = failure.code(), "job requeued");
        // The sweeper wakes a job that waits for a model.
        if job.place == Placement::Fargate && !job.is_waiting_for_model(now) {
            ctx.wake_job(&job.id).await;
        }
    }
    Ok(write)
}
