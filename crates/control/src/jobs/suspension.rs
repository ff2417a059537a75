//! Writes the suspension or resumption of a job.

use crate::jobs::finish_job::{WriteParts, apply_board_status, ended_attempt, write_end};
use crate::{Context, Error};
use pullyard_domain::job::{AttemptEnd, Job, JobStatus, Placement};
use pullyard_domain::outcome::update_waiting_badge;
use pullyard_domain::time::Timestamp;
use pullyard_store::{RunnerCondition, SuspensionWrite, Write};

/// Writes a job that was suspended, resumed, ended or given an input, with ticket, attempt and input, in one
/// transaction. `ended` describes the end of its attempt, if that ended.
pub(crate) async fn write_suspension(
    ctx: &Context,
    before: &Job,
    job: &Job,
    ended: AttemptEnd,
    parts: WriteParts<'_>,
    now: Timestamp,
) -> Result<Write, Error> {
    if job.status.is_terminal() {
        return write_end(ctx, before, job, parts, now).await;
    }
    let attempt = ended_attempt(before, ended, parts, now).filter(|_| job.run.is_none());
    let ticket = match job.ticket.as_ref().filter(|_| before.status != job.status) {
        None => None,
        Some(key) => {
            let ticket = ctx.store.load_ticket(&job.project, key).await?;
            let ticket = ticket.filter(|ticket| ticket.active_job.as_ref() == Some(&job.id));
            match ticket.and_then(|ticket| update_waiting_badge(job, &ticket)) {
                Some(ticket) => Some(apply_board_status(ctx, ticket).await?),
                None => None,
            }
        }
    };
    let (input, proof) = (parts.input, parts.runner.unwrap_or(RunnerCondition::Exists));
    let rested = SuspensionWrite { before, job, attempt: attempt.as_ref(), ticket: ticket.as_ref(), input, proof };
    let write = ctx.store.write_suspension(&rested).await?;
    if write == Write::Applied {
        if before.status != job.status {
            tracing::info!(job.id = %job.id, attempt = job.attempt, status = job.status.label(), "job suspended or resumed");
        }
        ctx.send_hints(async {
            if let Some(ticket) = ticket.filter(|ticket| ticket.is_unsynced()) {
                ctx.wake_ticket(&ticket.project, &ticket.key).await;
            }
            if job.status == JobStatus::Ready && before.status != JobStatus::Ready && job.place == Placement::Fargate {
                ctx.wake_job(&job.id).await;
            }
        })
        .await;
    }
    Ok(write)
}
