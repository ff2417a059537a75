//! Writes the suspension or resumption of a job.

use crate::jobs::finish_job::{AttemptUsage, apply_board_status, write_end_with_usage};
use crate::{Context, Error};
use pullyard_domain::job::{AttemptEnd, AttemptRecord, Input, Job, JobStatus, Placement};
use pullyard_domain::outcome::update_waiting_badge;
use pullyard_domain::time::Timestamp;
use pullyard_store::{RunnerCondition, SuspensionWrite, Write};

/// Writes a job that was suspended, resumed, ended or given an input, with ticket, attempt and input, in one
/// transaction. `ended` describes the end of its attempt, if that ended.
pub(crate) async fn write_suspension(
    ctx: &Context,
    before: &Job,
    job: &Job,
    (ended, input): (AttemptEnd, Option<&Input>),
    proof: RunnerCondition,
    now: Timestamp,
) -> Result<Write, Error> {
    write(ctx, before, job, (ended, input, AttemptUsage::default()), proof, now).await
}

pub(crate) async fn write_suspension_with_usage(
    ctx: &Context,
    before: &Job,
    job: &Job,
    (ended, took): (AttemptEnd, AttemptUsage<'_>),
    proof: RunnerCondition,
    now: Timestamp,
) -> Result<Write, Error> {
    write(ctx, before, job, (ended, None, took), proof, now).await
}

async fn write(
    ctx: &Context,
    before: &Job,
    job: &Job,
    (ended, input, took): (AttemptEnd, Option<&Input>, AttemptUsage<'_>),
    proof: RunnerCondition,
    now: Timestamp,
) -> Result<Write, Error> {
    if job.status.is_terminal() {
        return write_end_with_usage(ctx, before, job, took, proof, now).await;
    }
    let run = before.run.clone().filter(|_| before.status.is_active() && job.run.is_none());
    let (id, number) = (before.id.clone(), before.attempt);
    let attempt = run.map(|run| AttemptRecord {
        job: id,
        number,
        run,
        ended_at: now,
        ended,
        work: took.work.cloned(),
        spent_usd_micros: took.spent_usd_micros,
    });
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
    let rested = SuspensionWrite { before, job, attempt: attempt.as_ref(), ticket: ticket.as_ref(), input, proof };
    let written = ctx.store.write_suspension(&rested).await?;
    if written == Write::Applied {
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
    Ok(written)
}
