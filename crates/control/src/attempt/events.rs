//! What an agent does, as it does it. An empty batch is a heartbeat.

use super::held_lately;
use crate::{Context, Error};
use pullyard_domain::job::{Fence, Want};
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
    let job = held_lately(ctx, fence).await?;
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
