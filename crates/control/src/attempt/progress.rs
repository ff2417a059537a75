//! Records the next phase of an attempt.

use crate::runner::trusted;
use crate::{Context, Error};
use pullyard_domain::job::{Fence, Job, NotNow, Status, Want};
use pullyard_store::Write;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progressed {
    pub want: Want,
    /// Remaining time in which no other process can end the lease. Only for Syncing.
    pub push_for: Option<Duration>,
    /// Syncing has not begun, because the agent has not read all inputs.
    pub goes_on: bool,
}

/// Stores the phase of an attempt.
///
/// Syncing does not begin while a pause is requested; the answer then has no `push_for`. It does not begin either while
/// the job has more inputs than `told`, the number that the agent has read; `None` skips this check.
/// Idempotent: the current phase again is a repeat. Repeating Syncing returns the remaining time and never extends it.
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
            Err(NotNow::Unwanted) if job.want == Want::Pause => return Ok(answer(&job)),
            Err(NotNow::NewerInput) => return Ok(Progressed { goes_on: true, ..answer(&job) }),
            Err(NotNow::Already) => return Ok(answer(&job)),
            Err(refusal) => return Err(Error::refused(refusal, now)),
        };
        if let Some(run) = job.run.as_ref().filter(|_| to == Status::Syncing) {
            trusted(ctx, run).await?;
        }
        if ctx.store.update_job(&next).await? == Write::Applied {
            tracing::info!(job.id = %fence.job, attempt = fence.attempt, status = to.words(), "attempt progressed");
            return Ok(answer(&next));
        }
        rounds.again().await?;
    }
}
