//! Writes the step of a job that the sweeper found.

use crate::attempt::load_charged_label;
use crate::jobs::finish_job::{WriteParts, write_end};
use crate::jobs::suspension::write_suspension;
use crate::{Context, Error};
use pullyard_domain::job::sweep::JobStep;
use pullyard_domain::job::{AttemptEnd, Job};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{RunnerCondition, Write};

/// Writes a requeue or an end of a job. `None` for other steps.
pub(super) async fn write_step(
    ctx: &Context,
    job: &Job,
    step: JobStep,
    condition: RunnerCondition,
    now: Timestamp,
) -> Result<Option<Write>, Error> {
    let (next, failure) = match step {
        JobStep::Requeue(failure) => (job.requeue(now), Some(failure)),
        JobStep::Expire => (job.expire_suspension(now), None),
        JobStep::Cancel => (job.enforce_cancel(now), None),
        JobStep::Fail(failure) => (job.fail(name_ticket_limit(ctx, job, failure).await?, now), None),
        JobStep::Skip | JobStep::Admit | JobStep::Start | JobStep::Restart(_) | JobStep::StopTask => {
            return Ok(None);
        }
    };
    let next = next.map_err(|refusal| Error::from_refusal(refusal, now))?;
    let parts = WriteParts { runner: Some(condition), ..WriteParts::default() };
    Ok(Some(match failure {
        Some(failure) => write_suspension(ctx, job, &next, AttemptEnd::Requeued { failure }, parts, now).await?,
        None => write_end(ctx, job, &next, parts, now).await?,
    }))
}

/// Names the pull request in the failure of a job at its limit, so that its advice is a complete command.
async fn name_ticket_limit(ctx: &Context, job: &Job, failure: Failure) -> Result<Failure, Error> {
    if !matches!(failure, Failure::TicketLimit { .. }) {
        return Ok(failure);
    }
    let label = load_charged_label(ctx, job).await?;
    Ok(job.failure_after_loss(label.as_deref()).unwrap_or(failure))
}
