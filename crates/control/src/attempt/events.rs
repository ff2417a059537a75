//! Stores the events of an agent. An empty batch is a heartbeat.

use super::load_held;
use crate::{Context, Error};
use pullyard_domain::job::{DesiredState, Fence, TransitionRefusal};
use pullyard_store::{Batch, Write};
use serde::Serialize;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub next: u64,
    pub want: DesiredState,
    pub watched: bool,
    pub send_every: Duration,
    pub inputs: u32,
}

/// Stores a batch of events, and the number of inputs that the agent has read. A batch that races the loss of its lease
/// may still be stored, harmlessly, under its own attempt.
///
/// Idempotent: by attempt and first number; the first stored batch wins.
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
        send_every: job.send_interval(now),
    })
}

async fn note_heard(ctx: &Context, fence: &Fence, inputs: u32) -> Result<(), Error> {
    let mut rounds = ctx.rounds(&fence.job);
    loop {
        let Some(job) = ctx.store.job(&fence.job).await? else {
            return Err(Error::LeaseLost { recorded: false });
        };
        let next = match job.acknowledge_inputs(fence, inputs) {
            Ok(next) => next,
            Err(TransitionRefusal::AlreadyDone) => return Ok(()),
            Err(refusal) => return Err(Error::refused(refusal, ctx.clock.now())),
        };
        if ctx.store.update_job(&next).await? == Write::Applied {
            return Ok(());
        }
        rounds.again().await?;
    }
}
