//! Stores the events of an agent. An empty batch is a heartbeat.

use crate::jobs::load_leased_job::{load_job_of, load_leased_job};
use crate::{Context, Error};
use pullyard_domain::job::{DesiredState, Fence, Job, TransitionRefusal};
use pullyard_store::{EventBatch, Write};
use serde::Serialize;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsAck {
    pub next_seq: u64,
    pub want: DesiredState,
    pub is_watched: bool,
    pub send_every: Duration,
    pub inputs: u32,
}

/// The numbers that a runner sends with a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchCounts {
    /// The inputs that the agent has read.
    pub inputs: Option<u32>,
    /// The cost of an attempt whose runner stops without a finish. Units: millionths of a US dollar.
    pub spent_usd_micros: Option<u64>,
}

/// Stores a batch of events, the number of inputs that the agent has read, and the cost of a stopped attempt. A batch that races the loss of its lease
/// may still be stored, harmlessly, under its own attempt.
/// Idempotent: by attempt and first number; the first stored batch wins.
/// Errors: `LeaseLost`.
pub async fn record_events<E: Serialize>(
    ctx: &Context,
    fence: &Fence,
    (first, events): (u64, &[E]),
    counts: BatchCounts,
) -> Result<EventsAck, Error> {
    let job = load_leased_job(ctx, fence).await?;
    // First, so that an attempt whose events cannot be stored is not silent. Stale is harmless: the next heartbeat
    // follows within seconds.
    if let Ok(next) = job.record_heartbeat(fence, ctx.clock.now()) {
        let _ = ctx.store.update_job(&next).await?;
    }
    if !events.is_empty() {
        let batch = EventBatch { job: &fence.job, attempt: fence.attempt, first, at: ctx.clock.now(), events };
        ctx.store.create_event_batch(&batch).await?;
    }
    if let Some(inputs) = counts.inputs.filter(|inputs| *inputs > job.read_inputs) {
        change_job(ctx, fence, |job| job.acknowledge_inputs(fence, inputs)).await?;
    }
    if let Some(usd_micros) = counts.spent_usd_micros {
        change_job(ctx, fence, |job| job.record_stop_cost(fence, usd_micros)).await?;
    }
    let now = ctx.clock.now();
    Ok(EventsAck {
        next_seq: first + events.len() as u64,
        want: job.want,
        inputs: job.inputs,
        is_watched: job.is_watched(now),
        send_every: job.send_interval(now, ctx.on_one_machine),
    })
}

async fn change_job(
    ctx: &Context,
    fence: &Fence,
    change: impl Fn(&Job) -> Result<Job, TransitionRefusal>,
) -> Result<(), Error> {
    let mut rounds = ctx.retries(&fence.job);
    loop {
        let job = load_job_of(ctx, fence).await?;
        let next = match change(&job) {
            Ok(next) => next,
            Err(TransitionRefusal::AlreadyDone) => return Ok(()),
            Err(refusal) => return Err(Error::from_refusal(refusal, ctx.clock.now())),
        };
        if ctx.store.update_job(&next).await? == Write::Applied {
            return Ok(());
        }
        rounds.backoff().await?;
    }
}
