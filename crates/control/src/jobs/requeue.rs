//! Requeues a job after a lost or failed attempt.

use crate::counters::Counter;
use crate::jobs::finish_job::{AttemptUsage, ended_attempt, write_end_with_usage};
use crate::jobs::suspension::write_suspension_with_usage;
use crate::{Context, Error};
use pullyard_domain::failure::Failure;
use pullyard_domain::job::{AttemptEnd, AttemptRecord, Job, JobStatus, Placement};
use pullyard_domain::time::Timestamp;
use pullyard_store::{RunnerCondition, Write};

/// Writes a requeued job, or its end or pause if one was requested.
pub(crate) async fn write_requeue(
    ctx: &Context,
    before: &Job,
    job: &Job,
    failure: Failure,
    proof: RunnerCondition,
    now: Timestamp,
) -> Result<Write, Error> {
    write_requeue_with_usage(ctx, before, job, (failure, AttemptUsage::default()), proof, now).await
}

pub(crate) async fn write_requeue_with_usage(
    ctx: &Context,
    before: &Job,
    job: &Job,
    (failure, took): (Failure, AttemptUsage<'_>),
    proof: RunnerCondition,
    now: Timestamp,
) -> Result<Write, Error> {
    if job.status.is_terminal() {
        return write_end_with_usage(ctx, before, job, took, proof, now).await;
    }
    if job.status == JobStatus::Paused {
        return write_suspension_with_usage(ctx, before, job, (AttemptEnd::Requeued { failure }, took), proof, now)
            .await;
    }
    let Some(attempt) = ended_attempt(before, AttemptEnd::Requeued { failure: failure.clone() }, now) else {
        return Err(Error::Inconsistent("a job that nobody holds can't go back".into()));
    };
    let attempt = AttemptRecord { work: took.work.cloned(), spent_usd_micros: took.spent_usd_micros, ..attempt };
    let written = ctx.store.requeue_job(before, job, &attempt, proof).await?;
    if written == Write::Applied {
        ctx.counters().add(Counter::JobRequeued);
        tracing::warn!(job.id = %job.id, attempt = before.attempt, failure = failure.code(), "job requeued");
        // The sweeper wakes a job that waits for a model.
        if job.place == Placement::Fargate && !job.is_waiting_for_model(now) {
            ctx.wake_job(&job.id).await;
        }
    }
    Ok(written)
}
