//! Pauses a job.

use crate::jobs::suspension::write_suspension;
use crate::{Context, Error};
use pullyard_domain::denial::Denial;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{AttemptEnd, Job, Pause, TransitionRefusal};
use pullyard_store::{RunnerCondition, Write};

/// Idempotent: a job that is paused, or being paused, keeps the first requester's name.
/// Errors: `NotFound`; `Contended`; `Denied` if the job cannot be paused.
pub async fn pause_job(ctx: &Context, id: &JobId, by: &str) -> Result<Job, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.load_job(id).await? else {
            return Err(Error::NotFound { what: "job", name: id.to_string() });
        };
        let next = match job.pause(Pause::new(by, now), now) {
            Ok(next) => next,
            Err(TransitionRefusal::AlreadyDone) => return Ok(job),
            Err(refusal) => {
                let denial = Denial::for_pause(&job, &refusal);
                return Err(denial.map_or_else(|| Error::from_refusal(refusal, now), Error::Denied));
            }
        };
        if write_suspension(ctx, &job, &next, (AttemptEnd::Paused {}, None), RunnerCondition::Exists, now).await?
            == Write::Applied
        {
            tracing::info!(job.id = %id, caller = by, status = next.status.label(), "job pause requested");
            return Ok(next);
        }
        rounds.backoff().await?;
    }
}
