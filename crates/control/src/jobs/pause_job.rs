//! Pauses a job, and continues a paused one.

use crate::jobs::finish_job::WriteParts;
use crate::jobs::places::await_place;
use crate::jobs::suspension::write_suspension;
use crate::{Context, Error};
use pullyard_domain::job::{AttemptEnd, Job, Pause, TransitionRefusal};
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::Write;

/// Idempotent: a job that is paused, or being paused, keeps the first requester's name.
/// Errors: `NotFound`; `Contended`; `Denied` if the job cannot be paused.
pub async fn pause_job(ctx: &Context, id: &JobId, by: &str) -> Result<Job, Error> {
    let job = update_job(ctx, id, |job, now| job.pause(Pause::new(by, now), now), Denial::for_pause).await?;
    tracing::info!(job.id = %id, status = job.status.label(), "job pause requested");
    Ok(job)
}

/// Idempotent: a job that is not paused does not change.
/// Errors: `NotFound`; `Contended`; `Denied` if the job waits for an answer, is being cancelled or has ended.
pub async fn continue_job(ctx: &Context, id: &JobId) -> Result<Job, Error> {
    let job = update_job(ctx, id, Job::resume, Denial::for_continue).await?;
    tracing::info!(job.id = %id, status = job.status.label(), "job continued");
    Ok(job)
}

async fn update_job(
    ctx: &Context,
    id: &JobId,
    change: impl Fn(&Job, Timestamp) -> Result<Job, TransitionRefusal>,
    denial: impl Fn(&Job, &TransitionRefusal) -> Option<Denial>,
) -> Result<Job, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let job = ctx.load_job(id).await?;
        let next = match change(&job, now) {
            Ok(next) => await_place(ctx, &job, next).await?,
            Err(TransitionRefusal::AlreadyDone) => return Ok(job),
            Err(refusal) => return Err(Error::from_denial(denial(&job, &refusal), refusal, now)),
        };
        let parts = WriteParts::default();
        if write_suspension(ctx, &job, &next, AttemptEnd::Paused {}, parts, now).await? == Write::Applied {
            return Ok(next);
        }
        rounds.backoff().await?;
    }
}
