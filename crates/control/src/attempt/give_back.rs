//! A runner gives its job back before its work is done: its agent asks something, or people want it to pause.

use crate::ending::Took;
use crate::rest::write_told_rest;
use crate::{Context, Error};
use pullyard_domain::job::{AttemptEnd, Fence, NotNow, Rest, Status, Work, Yielded};
use pullyard_store::{Proof, Write};

/// What a runner says when it gives its job back.
#[derive(Clone, Debug)]
pub struct GivesBack {
    /// Why, and what the next attempt can go on with.
    pub yielded: Yielded,
    /// What the attempt cost, if that is known, or about. Units: millionths of a US dollar.
    pub spent_usd_micros: Option<u64>,
    /// Which agent worked and what it took; none when none began, or an older runner does not say.
    pub work: Option<Work>,
}

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
pub async fn give_back(ctx: &Context, fence: &Fence, gives: &GivesBack) -> Result<GaveBack, Error> {
    let GivesBack { yielded, spent_usd_micros, work } = gives;
    let took = Took { work: work.as_ref(), spent_usd_micros: *spent_usd_micros };
    let mut rounds = ctx.rounds(&fence.job);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.job(&fence.job).await? else {
            return Err(Error::LeaseLost { recorded: false });
        };
        let next = match job.yielded(fence, yielded, now) {
            Ok(next) => next.with_cost(spent_usd_micros.unwrap_or(0)),
            Err(NotNow::Already) => return Ok(GaveBack::Over(job.status)),
            Err(NotNow::NewerInput) => return Ok(GaveBack::NewerInput),
            Err(refusal) => return Err(Error::refused(refusal, now)),
        };
        let ended = match yielded.rest {
            Rest::Asks { .. } => AttemptEnd::Asked {},
            Rest::Pauses => AttemptEnd::Paused {},
        };
        if write_told_rest(ctx, &job, &next, (ended, took), Proof::Nothing, now).await? == Write::Applied {
            return Ok(GaveBack::Over(next.status));
        }
        rounds.again().await?;
    }
}
