//! Suspends a job at its runner's request: its agent asks a question, or a user wants a pause.

use crate::jobs::finish_job::WriteParts;
use crate::jobs::load_leased_job::load_job_of;
use crate::jobs::suspension::write_suspension;
use crate::{Context, Error};
use pullyard_domain::job::{AgentReport, AttemptEnd, Fence, JobStatus, SuspendReport, Suspension, TransitionRefusal};
use pullyard_store::Write;

#[derive(Clone, Debug)]
pub struct YieldReport {
    pub report: SuspendReport,
    pub spent_usd_micros: Option<u64>,
    /// The agent and its usage. `None` if no agent began, or from an older runner.
    pub work: Option<AgentReport>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YieldOutcome {
    Yielded(JobStatus),
    /// The attempt continues, because the agent has not read the newest input.
    NewerInput,
}

/// Idempotent: by the id of the suspend report.
/// Errors: `LeaseLost` if the attempt no longer holds the job; `WrongStatus` if it may not stop now.
pub async fn yield_job(ctx: &Context, fence: &Fence, report: &YieldReport) -> Result<YieldOutcome, Error> {
    let YieldReport { report: suspend_report, spent_usd_micros, work } = report;
    let parts = WriteParts { work: work.as_ref(), spent_usd_micros: *spent_usd_micros, ..WriteParts::default() };
    let mut rounds = ctx.retries(&fence.job);
    loop {
        let now = ctx.clock.now();
        let job = load_job_of(ctx, fence).await?;
        let next = match job.suspend(fence, suspend_report, now) {
            Ok(next) => next.with_cost(spent_usd_micros.unwrap_or(0)),
            Err(TransitionRefusal::AlreadyDone) => return Ok(YieldOutcome::Yielded(job.status)),
            Err(TransitionRefusal::NewerInput) => return Ok(YieldOutcome::NewerInput),
            Err(refusal) => return Err(Error::from_refusal(refusal, now)),
        };
        let ended = match suspend_report.suspension {
            Suspension::Question { .. } => AttemptEnd::Asked {},
            Suspension::Pause => AttemptEnd::Paused {},
        };
        if write_suspension(ctx, &job, &next, ended, parts, now).await? == Write::Applied {
            return Ok(YieldOutcome::Yielded(next.status));
        }
        rounds.backoff().await?;
    }
}
