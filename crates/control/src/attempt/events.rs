//! What an agent does, as it does it. An empty batch is a heartbeat.

use crate::{Context, Error};
use pullyard_domain::job::{Fence, Job, Want};
use pullyard_store::Batch;
use serde::Serialize;
use std::time::Duration;

/// The answer to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The number expected next.
    pub next: u64,
    /// What the job's people want.
    pub want: Want,
    /// Somebody looks.
    pub watched: bool,
    /// How soon the next batch is to be sent.
    pub send_every: Duration,
    /// How many inputs they gave it.
    pub inputs: u32,
}

/// The job, if the attempt holds it. As it was a moment ago: the batch is not fenced, and what its people want
/// now is told with the next one. A lease is never taken for lost from that.
async fn held(ctx: &Context, fence: &Fence) -> Result<Job, Error> {
    let read = ctx.store.eventually().job(&fence.job).await?;
    if let Some(job) = read.filter(|job| job.held_by(fence).is_ok()) {
        return Ok(job);
    }
    let job = ctx.store.job(&fence.job).await?.ok_or(Error::LeaseLost { recorded: false })?;
    job.held_by(fence).map_err(|refusal| Error::refused(refusal, ctx.clock.now()))?;
    Ok(job)
}

/// Stores a batch of events of an attempt that holds its job.
///
/// Events are other items than the job, so a batch that races the loss of its lease may still be
/// stored; it stands under its own attempt and misleads nobody.
/// Idempotent: by attempt and first number; what was stored first stays.
/// Errors: `LeaseLost`.
pub async fn record_events<E: Serialize>(
    ctx: &Context,
    fence: &Fence,
    first: u64,
    events: &[E],
) -> Result<Heard, Error> {
    let job = held(ctx, fence).await?;
    if !events.is_empty() {
        let batch = Batch { job: &fence.job, attempt: fence.attempt, first, at: ctx.clock.now(), events };
        ctx.store.store_events(&batch).await?;
    }
    let now = ctx.clock.now();
    Ok(Heard {
        next: first + events.len() as u64,
        want: job.want,
        inputs: job.inputs,
        watched: job.is_watched(now),
        send_every: job.send_every(now),
    })
}
