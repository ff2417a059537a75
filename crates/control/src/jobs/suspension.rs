//! Writes the suspension, resumption or requeue of a job.

use crate::counters::Counter;
use crate::jobs::finish_job::{WriteParts, ended_attempt, load_changed_ticket, write_end};
use crate::notify::notice_of_job;
use crate::{Context, Error};
use pullyard_domain::job::{AttemptEnd, Job, JobStatus};
use pullyard_domain::review::outcome::update_waiting_badge;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{JobWrite, RunnerCondition, Write};

/// Writes a job that was suspended, resumed, requeued, ended or given an input, with ticket, attempt and input, in
/// one transaction. `ended` describes the end of its attempt, if that ended.
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
    let (mut ticket, mut notice) = (None, None);
    if before.status != job.status {
        let project = ctx.store.load_project(&job.project).await?;
        ticket = load_changed_ticket(ctx, job, project.as_ref(), |ticket| update_waiting_badge(job, ticket)).await?;
        notice = notice_of_job(ctx, project.as_ref(), before, job);
    }
    let write = ctx
        .store
        .write_job(&JobWrite {
            before,
            job,
            output: None,
            attempt: attempt.as_ref(),
            ticket: ticket.as_ref(),
            pull_request: None,
            analysis: None,
            refund: None,
            spending: None,
            input: parts.input,
            notice: notice.as_ref(),
            runner: parts.runner.unwrap_or(RunnerCondition::Exists),
        })
        .await?;
    if write == Write::Applied {
        match attempt.as_ref().map(|attempt| &attempt.ended) {
            Some(AttemptEnd::Requeued { failure }) if job.status == JobStatus::Ready => {
                ctx.counters().add(Counter::JobRequeued);
                tracing::warn!(job.id = %job.id, attempt = before.attempt, failure = failure.code(), "job requeued");
            }
            _ if before.status != job.status => {
                let status = job.status.label();
                tracing::info!(job.id = %job.id, attempt = job.attempt, status, "job suspended or resumed");
            }
            _ => {}
        }
        ctx.send_hints(async {
            if let Some(ticket) = ticket.filter(|ticket| ticket.is_unsynced()) {
                ctx.wake_ticket(&ticket.project, &ticket.key).await;
            }
            if let Some(notice) = &notice {
                ctx.wake_notice(notice).await;
            }
            let becomes_ready = job.status == JobStatus::Ready && before.status != JobStatus::Ready;
            // The sweeper wakes a job that waits for a model.
            let may_start = becomes_ready && !job.is_waiting_for_model(now);
            if may_start || job.has_left_its_place() || job.may_have_orphaned_task() {
                ctx.wake_job(&job.id).await;
            }
        })
        .await;
    }
    Ok(write)
}
