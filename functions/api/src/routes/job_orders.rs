//! Requests about an existing job: cancel, pause, continue, answer, retry.

use super::jobs::{answered, visible};
use crate::wire;
use axum::Json;
use axum::extract::State;
use pullyard_control::{self as control, Context};
use pullyard_domain::id::JobId;
use pullyard_entry::openapi::{Accepted, Made};
use pullyard_entry::{Caller, Key, Path, Problem, Strict, limits, scope};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::job::{AnswerJob, CancelJob, ContinueJob, Job, PauseJob, RetryJob};

/// `200` if the job has ended, `202` if its runner must stop it first, `409` if it ended otherwise.
pub(crate) async fn cancel(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Path(job): Path<JobId>,
    Strict(request): Strict<CancelJob>,
) -> Result<Accepted<Job>, Problem> {
    limits::cancel(&request)?;
    let before = visible(&ctx, &caller, &job).await?;
    let job = control::cancel_job(&ctx, &job, &caller.name, request.reason.as_deref()).await?;
    let over = job.status.is_terminal();
    let job = wire::job(control::JobView { job, ..before });
    Ok(if over { Accepted::Done(job) } else { Accepted::Soon(job) })
}

/// `200` if the job is paused, `202` if its runner must stop first, `409` if it cannot be paused.
pub(crate) async fn pause(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Path(job): Path<JobId>,
    Strict(PauseJob {}): Strict<PauseJob>,
) -> Result<Accepted<Job>, Problem> {
    visible(&ctx, &caller, &job).await?;
    let paused = control::pause_job(&ctx, &job, &caller.name).await?;
    let stands = !paused.status.is_active();
    let job = wire::job(control::job_view(&ctx, &job).await?);
    Ok(if stands { Accepted::Done(job) } else { Accepted::Soon(job) })
}

/// Continues a paused job, or withdraws a pause that its runner has not executed yet.
pub(crate) async fn go_on(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Path(job): Path<JobId>,
    Strict(ContinueJob {}): Strict<ContinueJob>,
) -> Result<Json<Job>, Problem> {
    visible(&ctx, &caller, &job).await?;
    control::continue_job(&ctx, &job, &caller.name).await?;
    Ok(Json(wire::job(control::job_view(&ctx, &job).await?)))
}

pub(crate) async fn answer(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Key(key): Key,
    Path(job): Path<JobId>,
    Strict(request): Strict<AnswerJob>,
) -> Result<Json<Job>, Problem> {
    limits::answer(&request)?;
    visible(&ctx, &caller, &job).await?;
    control::answer_job(&ctx, &job, &request.text, &caller.requester(), key).await?;
    Ok(Json(wire::job(control::job_view(&ctx, &job).await?)))
}

pub(crate) async fn retry(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Key(key): Key,
    Path(job): Path<JobId>,
    Strict(RetryJob {}): Strict<RetryJob>,
) -> Result<Made<Decision>, Problem> {
    visible(&ctx, &caller, &job).await?;
    answered(control::retry_job(&ctx, &job, &caller.requester(), key).await?)
}
