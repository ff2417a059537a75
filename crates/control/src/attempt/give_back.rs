//! A runner gives its job back before its work is done: its agent asks something, or people want it to pause.

use crate::rest::write_rest;
use crate::{Context, Error};
use pullyard_domain::job::{AttemptEnd, Fence, NotNow, Rest, Status, Yielded};
use pullyard_store::{Proof, Write};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveBack {
    /// The attempt is over, and this is its job's status.
    Over(Status),
    /// Somebody said something that the agent has not read: the attempt goes on.
    NewerInput,
}

/// Ends an attempt whose job goes on later.
///
/// Idempotent: by the id of what was yielded.
/// Errors: `LeaseLost` when the attempt does not hold the job any more; `WrongStatus` where it may not stop.
pub async fn give_back(ctx: &Context, fence: &Fence, yielded: &Yielded, spent: u64) -> Result<GaveBack, Error> {
    let mut rounds = ctx.rounds(&fence.job);
    loop {
        let now = ctx.clock.now();
        let Some(job) = rounds.reads(ctx).job(&fence.job).await? else {
            return Err(Error::LeaseLost { recorded: false });
        };
        let next = match job.yielded(fence, yielded, now) {
            Ok(next) => next.with_cost(spent),
            Err(_) if rounds.look_again() => continue,
            Err(NotNow::Already) => return Ok(GaveBack::Over(job.status)),
            Err(NotNow::NewerInput) => return Ok(GaveBack::NewerInput),
            Err(refusal) => return Err(Error::refused(refusal, now)),
        };
        let ended = match yielded.rest {
            Rest::Asks { .. } => AttemptEnd::Asked {},
            Rest::Pauses => AttemptEnd::Paused {},
        };
        if write_rest(ctx, &job, &next, (ended, None), Proof::Nothing, now).await? == Write::Applied {
            return Ok(GaveBack::Over(next.status));
        }
        rounds.again().await?;
    }
}
