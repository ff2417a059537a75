//! What an agent does, as it does it. An empty batch is a heartbeat.

use super::load_held;
use crate::{Context, Error};
use pullyard_domain::job::{Fence, NotNow, Want};
use pullyard_store::{Batch, Write};
use serde::Serialize;
use std::time::Duration;

/// The answer to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub next: u64,
    pub want: Want,
    pub watched: bool,
    /// How soon the next batch is to be sent.
    pub send_every: Duration,
    pub inputs: u32,
}

/// Stores a batch of events of an attempt that holds its job.
///
/// Events are other items than the job, so a batch that races the loss of its lease may still be
/// stored; it stands under its own attempt and misleads nobody.
/// How many inputs the agent has heard is fenced, and written when it is news.
/// Idempotent: by attempt and first number; what was stored first stays.
/// Errors: `LeaseLost`.
pub async fn record_events<E: Serialize>(
    ctx: &Context,
    fence: &Fence,
    (first, events): (u64, &[E]),
    inputs: Option<u32>,
) -> Result<Heard, Error> {
    let job = load_held(ctx, fence).await?;
    if !events.is_empty() {
        let batch = Batch { job: &fence.job, attempt: fence.attempt, first, at: ctx.clock.now(), events };
        ctx.store.store_events(&batch).await?;
    }
    if let Some(inputs) = inputs.filter(|inputs| *inputs > job.heard) {
        note_heard(ctx, fence, inputs).await?;
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

/// Writes down how many inputs the agent of an attempt has heard.
async fn note_heard(ctx: &Context, fence: &Fence, inputs: u32) -> Result<(), Error> {
    let mut rounds = ctx.rounds(&fence.job);
    loop {
        let Some(job) = ctx.store.job(&fence.job).await? else {
            return Err(Error::LeaseLost { recorded: false });
        };
        let next = match job.hears(fence, inputs) {
            Ok(next) => next,
            Err(NotNow::Already) => return Ok(()),
            Err(refusal) => return Err(Error::refused(refusal, ctx.clock.now())),
        };
        if ctx.store.update_job(&next).await? == Write::Applied {
            return Ok(());
        }
        rounds.again().await?;
    }
}
