//! Lists the artifacts of a job, and redirects to each.

use crate::job::head::JobHead;
use crate::job::{Shell, load_subject};
use crate::prelude::*;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use pullyard_domain::job::artifact::Artifact;
use pullyard_domain::text::id::{ArtifactId, JobId};

#[derive(Template)]
#[template(path = "job_artifacts.html")]
struct ArtifactsPage {
    frame: Frame,
    head: JobHead,
    /// Newest first, with their attempts.
    artifacts: Vec<(u32, Artifact)>,
}

pub(crate) async fn show(visit: PageContext, Path(id): Path<JobId>) -> Result<Response, Fault> {
    let subject = load_subject(&visit, id).await?;
    let (Shell { frame, head }, records) = subject.load_tab(&visit, "artifacts").await?;
    let artifacts = records.artifacts.into_iter().rev().collect();
    Ok(render_page(StatusCode::OK, &ArtifactsPage { frame, head, artifacts }))
}

pub(crate) async fn redirect_to_artifact(
    visit: PageContext,
    Path((job, artifact)): Path<(JobId, ArtifactId)>,
) -> Result<Response, Fault> {
    visit.load_job(&job).await?;
    let address = control::artifact_url(&visit.ctx, &job, &artifact).await?;
    let invalid_url = |_| {
        Fault::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Pullyard cannot create a download link for this artifact.",
        )
    };
    let to = HeaderValue::from_str(&address).map_err(invalid_url)?;
    // The URL is a credential, so no cache may store it.
    Ok((StatusCode::FOUND, [(header::LOCATION, to), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))])
        .into_response())
}
