//! The next phase of an attempt begins.

use crate::runner::trusted;
use crate::{Context, Error};
use pullyard_domain::job::{Fence, Job, NotNow, Status, Want};
use pullyard_store::Write;
use std::time::Duration;

/// The answer to a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progressed {
    pub want: Want,
    /// Only for Syncing: for how long nobody else ends the attempt, from now.
    pub push_for: Option<Duration>,
    /// Syncing has not begun: people said something that the agent was not told.
    pub goes_on: bool,
}

/// Writes the phase of an attempt.
///
/// Idempotent: the present phase again is a repeat. Repeating Syncing answers what is left of its time,
/// it never extends it.
/// Where the job is to pause, Syncing does not begin: the answer has no time to push. Nor does it where there are more
/// inputs than the agent was told; `told` is none for one that is told nothing while it works.
/// Errors: `LeaseLost`, `WrongStatus`, `Unwanted` (only for Syncing).
pub async fn progress(ctx: &Context, fence: &Fence, to: Status, told: Option<u32>) -> Result<Progressed, Error> {
    let mut rounds = ctx.rounds(&fence.job);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.job(&fence.job).await? else {
            return Err(Error::LeaseLost { recorded: false });
        };
        let answer = |job: &Job| Progressed {
            want: job.want,
            push_for: job.push_until.map(|until| until.since(now)),
            goes_on: false,
        };
        let decided = match told.filter(|_| to == Status::Syncing) {
            Some(inputs) => job.pushed(fence, inputs, now),
            None => job.progressed(fence, to, now),
        };
        let next = match decided {
            Ok(next) => next,
            // It is to pause instead of pushing: the answer says so, and that nothing has begun.
            Err(NotNow::Unwanted) if job.want == Want::Pause => return Ok(answer(&job)),
            Err(NotNow::NewerInput) => return Ok(Progressed { goes_on: true, ..answer(&job) }),
            Err(NotNow::Already) => return Ok(answer(&job)),
            Err(refusal) => return Err(Error::refused(refusal, now)),
        };
        if let Some(run) = job.run.as_ref().filter(|_| to == Status::Syncing) {
            trusted(ctx, run).await?;
        }
        if ctx.store.update_job(&next).await? == Write::Applied {
            tracing::info!(job.id = %fence.job, attempt = fence.attempt, status = to.words(), "an attempt goes on");
            return Ok(answer(&next));
        }
        rounds.again().await?;
    }
}
