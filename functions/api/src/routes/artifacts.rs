//! Serves artifacts, attempts and contexts of jobs.

use super::jobs::load_visible;
use crate::routes::prelude::*;
use pullyard_domain::text::id::{ArtifactId, JobId};
use pullyard_entry::LeaseCaller;
use pullyard_entry::openapi::TemporaryRedirect;
use pullyard_protocol::artifact::{self, ArtifactUpload, Artifacts, Attempts, JobContext, NewArtifact};

pub(crate) async fn reserve(
    State(ctx): State<Context>,
    LeaseCaller(fence): LeaseCaller,
    StrictJson(offer): StrictJson<NewArtifact>,
) -> Result<Json<ArtifactUpload>, Problem> {
    let reservation = control::reserve_artifact(&ctx, &fence, &offer).await?;
    let (put_url, headers) = reservation.upload.map(|upload| (upload.url, upload.headers)).unzip();
    Ok(Json(ArtifactUpload { id: reservation.id, put_url, headers: headers.unwrap_or_default().into_iter().collect() }))
}

pub(crate) async fn mark_stored(
    State(ctx): State<Context>,
    LeaseCaller(fence): LeaseCaller,
    Path((_, _, id)): Path<(JobId, u32, ArtifactId)>,
    StrictJson(NoFields {}): StrictJson<NoFields>,
) -> Result<Json<NoFields>, Problem> {
    control::mark_artifact_stored(&ctx, &fence, &id).await?;
    Ok(Json(NoFields {}))
}

pub(crate) async fn list(caller: Caller<scope::Read>, Path(job): Path<JobId>) -> Result<Json<Artifacts>, Problem> {
    load_visible(&caller, &job).await?;
    let artifacts = control::list_artifacts(&caller.ctx, &job).await?;
    let entries = artifacts.into_iter().map(|(attempt, record)| artifact::Artifact {
        id: record.id,
        attempt,
        kind: record.kind,
        name: record.name,
        size_bytes: record.size_bytes,
        sha256: record.sha256,
        at: record.at,
        stored: record.stored,
    });
    Ok(Json(Artifacts { artifacts: entries.collect() }))
}

pub(crate) async fn show(
    caller: Caller<scope::Read>,
    Path((job, artifact)): Path<(JobId, ArtifactId)>,
) -> Result<TemporaryRedirect, Problem> {
    load_visible(&caller, &job).await?;
    Ok(TemporaryRedirect(control::artifact_url(&caller.ctx, &job, &artifact).await?))
}

pub(crate) async fn attempts(caller: Caller<scope::Read>, Path(job): Path<JobId>) -> Result<Json<Attempts>, Problem> {
    let view = load_visible(&caller, &job).await?;
    let mut attempts: Vec<_> =
        control::list_attempts(&caller.ctx, &job).await?.into_iter().map(wire::attempt).collect();
    attempts.extend(wire::running_attempt(&view.job));
    Ok(Json(Attempts { job, attempts }))
}

pub(crate) async fn context(caller: Caller<scope::Read>, Path(job): Path<JobId>) -> Result<Json<JobContext>, Problem> {
    let view = load_visible(&caller, &job).await?;
    let context = control::load_context(&caller.ctx, &view.job).await?;
    let context = context.ok_or_else(|| Problem::not_found(format!("The context of {job} is not available yet.")))?;
    let (repository, base, prompt) = (context.repository_name().clone(), context.base.clone(), context.prompt());
    Ok(Json(JobContext { job, hash: view.job.context, repository, base, prompt }))
}
