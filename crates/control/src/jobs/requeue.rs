//! Requeues a job after a lost or failed attempt.

use crate::jobs::ending::{Took, attempt_of, write_told_end};
use crate::jobs::rest::write_told_rest;
use crate::tally::Count;
use crate::{Context, Error};
use pullyard_domain::failure::Failure;
use pullyard_domain::job::{AttemptEnd, AttemptRecord, Job, JobStatus, Placement};
use pullyard_domain::time::Timestamp;
use pullyard_store::{Proof, Write};

/// Writes a requeued job, or its end or pause if one was requested.
pub(crate) async fn write_requeue(
    ctx: &Context,
    before: &Job,
    job: &Job,
    failure: Failure,
    proof: Proof,
    now: Timestamp,
) -> Result<Write, Error> {
    write_told_requeue(ctx, before, job, (failure, Took::default()), proof, now).await
}

pub(crate) async fn write_told_requeue(
    ctx: &Context,
    before: &Job,
    job: &Job,
    (failure, took): (Failure, Took<'_>),
    proof: Proof,
    now: Timestamp,
) -> Result<Write, Error> {
    if job.status.is_terminal() {
        return write_told_end(ctx, before, job, took, proof, now).await;
    }
    if job.status == JobStatus::Paused {
        return write_told_rest(ctx, before, job, (AttemptEnd::Requeued { failure }, took), proof, now).await;
    }
    let Some(attempt) = attempt_of(before, AttemptEnd::Requeued { failure: failure.clone() }, now) else {
        return Err(Error::Inconsistent("a job that nobody holds can't go back".into()));
    };
    let attempt = AttemptRecord { work: took.work.cloned(), spent_usd_micros: took.spent_usd_micros, ..attempt };
    let written = ctx.store.requeue(before, job, &attempt, proof).await?;
    if written == Write::Applied {
        ctx.tally().add(Count::JobRequeued);
        tracing::warn!(job.id = %job.id, attempt = before.attempt, failure = failure.code(), "job requeued");
        // The sweeper wakes a job that waits for a model.
        if job.place == Placement::Fargate && !job.is_waiting_for_model(now) {
            ctx.wake_job(&job.id).await;
        }
    }
    Ok(written)
}
