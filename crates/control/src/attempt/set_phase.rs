//! Records the next phase of an attempt.

use crate::jobs::load_leased_job::load_job_of;
use crate::runner::check_runner_trust;
use crate::{Context, Error};
use pullyard_domain::job::{DesiredState, Fence, Job, JobStatus, TransitionRefusal};
use pullyard_store::Write;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseAnswer {
    pub want: DesiredState,
    /// Remaining time in which no other process can end the lease. Only for Syncing.
    pub push_window: Option<Duration>,
    /// Syncing has not begun, because the agent has not read all inputs.
    pub has_unread_inputs: bool,
}

/// Syncing does not begin while a pause is requested; the answer then has no `push_window`. It does not begin either
/// while the job has more inputs than `reported`, the number that the agent has read; `None` skips this check.
/// Idempotent: the current phase again is a repeat, which records `waits_for` and renews the push window of Syncing.
/// Errors: `LeaseLost`, `WrongStatus`, `StopRequested` (only for Syncing).
pub async fn set_phase(
    ctx: &Context,
    fence: &Fence,
    to: JobStatus,
    reported: Option<u32>,
    waits_for: Option<&str>,
) -> Result<PhaseAnswer, Error> {
    let mut rounds = ctx.retries(&fence.job);
    loop {
        let now = ctx.clock.now();
        let job = load_job_of(ctx, fence).await?;
        let answer = |job: &Job| PhaseAnswer {
            want: job.want,
            push_window: job.push_until.map(|until| until.since(now)),
            has_unread_inputs: false,
        };
        let transition = match reported.filter(|_| to == JobStatus::Syncing) {
            Some(inputs) => job.begin_push(fence, inputs, now),
            None => job.advance(fence, to, now),
        };
        let next = match transition {
            Ok(next) => next,
            Err(TransitionRefusal::StopRequested) if job.want == DesiredState::Pause => return Ok(answer(&job)),
            Err(TransitionRefusal::NewerInput) => return Ok(PhaseAnswer { has_unread_inputs: true, ..answer(&job) }),
            Err(TransitionRefusal::AlreadyDone) => match job.repeat_phase(fence, to, waits_for, now) {
                Ok(next) if next != job => next,
                _ => return Ok(answer(&job)),
            },
            Err(refusal) => return Err(Error::from_refusal(refusal, now)),
        };
        if to == JobStatus::Syncing {
            check_runner_trust(ctx, &job).await?;
        }
        if ctx.store.update_job(&next).await? == Write::Applied {
            if next.status != job.status {
                tracing::info!(job.id = %fence.job, attempt = fence.attempt, status = to.label(), "attempt progressed");
            }
            return Ok(answer(&next));
        }
        rounds.backoff().await?;
    }
}
