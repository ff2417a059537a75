//! Cancels a job.

use crate::jobs::finish_job::{WriteParts, write_end};
use crate::{Context, Error};
use pullyard_domain::job::{Cancel, Job, TransitionRefusal};
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::JobId;
use pullyard_store::Write;

/// Cancels a job. Without an attempt it ends at once; otherwise its runner stops it, or the sweeper after a time limit.
/// Idempotent: a job that is cancelled, or being cancelled, keeps the first requester's name.
/// Errors: `NotFound`; `Contended`; `Denied` if the job ended otherwise.
pub async fn cancel_job(ctx: &Context, id: &JobId, by: &str, reason: Option<&str>) -> Result<Job, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let job = ctx.load_job(id).await?;
        let next = match job.cancel(Cancel::new(by, reason, now), now) {
            Ok(next) => next,
            Err(TransitionRefusal::AlreadyDone) => return Ok(job),
            Err(TransitionRefusal::WrongStatus(_)) => return Err(Error::Denied(Denial::already_ended(&job))),
            Err(refusal) => return Err(Error::from_refusal(refusal, now)),
        };
        let write = if next.status.is_terminal() {
            write_end(ctx, &job, &next, WriteParts::default(), now).await?
        } else {
            ctx.store.update_job(&next).await?
        };
        if write == Write::Applied {
            tracing::info!(job.id = %id, status = next.status.label(), "job cancel requested");
            return Ok(next);
        }
        rounds.backoff().await?;
    }
}
