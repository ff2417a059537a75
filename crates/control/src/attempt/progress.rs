//! The next phase of an attempt begins.

use crate::context::Round;
use crate::{Context, Error};
use pullyard_domain::job::{Fence, NotNow, Status, Want};
use pullyard_store::Write;
use std::time::Duration;

/// The answer to a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progressed {
    /// What the job's people want.
    pub want: Want,
    /// Only for Syncing: for how long nobody else ends the attempt, from now.
    pub push_for: Option<Duration>,
}

/// Writes the phase of an attempt.
///
/// Idempotent: the present phase again is a repeat. Repeating Syncing answers what is left of its time,
/// it never extends it.
/// Errors: `LeaseLost`, `WrongStatus`, `Unwanted` (only for Syncing).
pub async fn progress(ctx: &Context, fence: &Fence, to: Status) -> Result<Progressed, Error> {
    ctx.rounds(fence.job.as_str(), async || {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.job(&fence.job).await? else {
            return Err(Error::LeaseLost { recorded: false });
        };
        let next = match job.progressed(fence, to, now) {
            Ok(next) => next,
            Err(NotNow::Already) => {
                return Ok(Round::Done(Progressed {
                    want: job.want,
                    push_for: job.push_until.map(|until| until.since(now)),
                }));
            }
            Err(refusal) => return Err(Error::refused(refusal, now)),
        };
        Ok(match ctx.store.update_job(&next).await? {
            Write::Stale => Round::Again,
            Write::Applied => {
                tracing::info!(job.id = %fence.job, attempt = fence.attempt, status = to.words(), "an attempt goes on");
                Round::Done(Progressed {
                    want: next.want,
                    push_for: next.push_until.map(|until| until.since(now)),
                })
            }
        })
    })
    .await
}
