//! Pauses a job.

use crate::jobs::rest::write_rest;
use crate::{Context, Error};
use pullyard_domain::denial::Denial;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{AttemptEnd, Job, Pause, TransitionRefusal};
use pullyard_store::{Proof, Write};

/// Idempotent: a job that is paused, or being paused, keeps the first requester's name.
/// Errors: `NotFound`; `Contended`; `Denied` if the job cannot be paused.
pub async fn pause_job(ctx: &Context, id: &JobId, by: &str) -> Result<Job, Error> {
    let mut rounds = ctx.rounds(id);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.job(id).await? else {
            return Err(Error::NotFound { what: "job", name: id.to_string() });
        };
        let next = match job.pause(Pause::new(by, now), now) {
            Ok(next) => next,
            Err(TransitionRefusal::AlreadyDone) => return Ok(job),
            Err(refusal) => {
                let denial = Denial::for_pause(&job, &refusal);
                return Err(denial.map_or_else(|| Error::refused(refusal, now), Error::Denied));
            }
        };
        if write_rest(ctx, &job, &next, (AttemptEnd::Paused {}, None), Proof::Nothing, now).await? == Write::Applied {
            tracing::info!(job.id = %id, caller = by, status = next.status.label(), "job pause requested");
            return Ok(next);
        }
        rounds.again().await?;
    }
}
