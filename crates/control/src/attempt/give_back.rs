//! Suspends a job at its runner's request: its agent asks a question, or a user wants a pause.

use crate::jobs::ending::Took;
use crate::jobs::rest::write_told_rest;
use crate::{Context, Error};
use pullyard_domain::job::{AgentReport, AttemptEnd, Fence, JobStatus, SuspendReport, Suspension, TransitionRefusal};
use pullyard_store::{Proof, Write};

#[derive(Clone, Debug)]
pub struct GivesBack {
    pub yielded: SuspendReport,
    pub spent_usd_micros: Option<u64>,
    /// The agent and its usage. `None` if no agent began, or from an older runner.
    pub work: Option<AgentReport>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveBack {
    Over(JobStatus),
    /// The attempt continues, because the agent has not read the newest input.
    NewerInput,
}

/// Idempotent: by the id of `yielded`.
/// Errors: `LeaseLost` if the attempt no longer holds the job; `WrongStatus` if it may not stop now.
pub async fn give_back(ctx: &Context, fence: &Fence, gives: &GivesBack) -> Result<GaveBack, Error> {
    let GivesBack { yielded, spent_usd_micros, work } = gives;
    let took = Took { work: work.as_ref(), spent_usd_micros: *spent_usd_micros };
    let mut rounds = ctx.rounds(&fence.job);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.job(&fence.job).await? else {
            return Err(Error::LeaseLost { recorded: false });
        };
        let next = match job.suspend(fence, yielded, now) {
            Ok(next) => next.with_cost(spent_usd_micros.unwrap_or(0)),
            Err(TransitionRefusal::AlreadyDone) => return Ok(GaveBack::Over(job.status)),
            Err(TransitionRefusal::NewerInput) => return Ok(GaveBack::NewerInput),
            Err(refusal) => return Err(Error::refused(refusal, now)),
        };
        let ended = match yielded.suspension {
            Suspension::Question { .. } => AttemptEnd::Asked {},
            Suspension::Pause => AttemptEnd::Paused {},
        };
        if write_told_rest(ctx, &job, &next, (ended, took), Proof::Nothing, now).await? == Write::Applied {
            return Ok(GaveBack::Over(next.status));
        }
        rounds.again().await?;
    }
}
