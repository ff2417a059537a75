//! Cancels, pauses, continues, answers and retries jobs.

use super::jobs::{load_visible, to_response};
use crate::routes::prelude::*;
use pullyard_domain::text::id::JobId;
use pullyard_entry::openapi::{AcceptedResponse, CreatedOrExisting};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::job::{CancelJob, Job, SendInput};

/// `200` if the job has ended, `202` if its runner must stop it first, `409` if it ended otherwise.
pub(crate) async fn cancel(
    caller: Caller<scope::Jobs>,
    Path(job): Path<JobId>,
    StrictJson(request): StrictJson<CancelJob>,
) -> Result<AcceptedResponse<Job>, Problem> {
    limits::check_cancel(&request)?;
    let before = load_visible(&caller, &job).await?;
    let job = control::cancel_job(&caller.ctx, &job, &caller.name, request.reason.as_deref()).await?;
    let is_terminal = job.status.is_terminal();
    let job = wire::job(control::JobView { job, ..before });
    Ok(if is_terminal { AcceptedResponse::Done(job) } else { AcceptedResponse::Pending(job) })
}

/// `200` if the job is paused, `202` if its runner must stop first, `409` if it cannot be paused.
pub(crate) async fn pause(
    caller: Caller<scope::Jobs>,
    Path(job): Path<JobId>,
    StrictJson(NoFields {}): StrictJson<NoFields>,
) -> Result<AcceptedResponse<Job>, Problem> {
    load_visible(&caller, &job).await?;
    let is_paused = !control::pause_job(&caller.ctx, &job, &caller.name).await?.status.is_active();
    let job = wire::job(control::job_view(&caller.ctx, &job).await?);
    Ok(if is_paused { AcceptedResponse::Done(job) } else { AcceptedResponse::Pending(job) })
}

/// Continues a paused job, or withdraws a pause that its runner has not executed yet.
pub(crate) async fn continue_job(
    caller: Caller<scope::Jobs>,
    Path(job): Path<JobId>,
    StrictJson(NoFields {}): StrictJson<NoFields>,
) -> Result<Json<Job>, Problem> {
    load_visible(&caller, &job).await?;
    control::continue_job(&caller.ctx, &job).await?;
    Ok(Json(wire::job(control::job_view(&caller.ctx, &job).await?)))
}

pub(crate) async fn answer(
    caller: Caller<scope::Jobs>,
    IdempotencyKey(key): IdempotencyKey,
    Path(job): Path<JobId>,
    StrictJson(request): StrictJson<SendInput>,
) -> Result<Json<Job>, Problem> {
    limits::check_answer(&request)?;
    load_visible(&caller, &job).await?;
    control::answer_job(&caller.ctx, &job, &request.text, &caller.requester(), key).await?;
    Ok(Json(wire::job(control::job_view(&caller.ctx, &job).await?)))
}

pub(crate) async fn retry(
    caller: Caller<scope::Jobs>,
    IdempotencyKey(key): IdempotencyKey,
    Path(job): Path<JobId>,
    StrictJson(NoFields {}): StrictJson<NoFields>,
) -> Result<CreatedOrExisting<Decision>, Problem> {
    load_visible(&caller, &job).await?;
    to_response(control::retry_job(&caller.ctx, &job, &caller.requester(), key).await?)
}
