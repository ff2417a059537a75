//! What people order done with a job that is there: cancel it, do it again.

use super::jobs::{answered, visible};
use crate::wire;
use axum::extract::State;
use pullyard_control::{self as control, Context};
use pullyard_domain::id::JobId;
use pullyard_entry::openapi::{Accepted, Made};
use pullyard_entry::{Caller, Key, Path, Problem, Strict, limits, scope};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::job::{CancelJob, Job, RetryJob};

/// Cancels a job: `200` when it has ended, `202` when its runner is to stop it, `409` with how it ended when
/// that is too late.
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

/// Makes a job that does the work of an ended one again; answers as a request for a job does.
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
