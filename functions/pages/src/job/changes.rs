//! The changes of a job as a diff per file, from the newest stored patch.

use super::{Shell, Subject, load_subject};
use crate::diff::{self, Diff};
use crate::job::head::JobHead;
use crate::prelude::*;
use pullyard_domain::text::id::JobId;

/// The rest of a longer patch is only in its artifact. Units: bytes.
const MAX_PATCH_BYTES: usize = 2 << 20;

#[derive(Deserialize)]
pub(crate) struct ChangesQuery {
    file: Option<usize>,
}

#[derive(Template)]
#[template(path = "job_changes.html")]
struct ChangesPage {
    frame: Frame,
    head: JobHead,
    diff: Option<Diff>,
    patch: Option<String>,
    attempt: u32,
    is_cut: bool,
    only: Option<usize>,
}

pub(crate) async fn show(
    visit: PageContext,
    Path(id): Path<JobId>,
    Query(query): Query<ChangesQuery>,
) -> Result<Response, Fault> {
    let subject = load_subject(&visit, id).await?;
    render(&visit, &subject, query.file).await
}

pub(super) async fn render(visit: &PageContext, subject: &Subject, only: Option<usize>) -> Result<Response, Fault> {
    let (Shell { frame, head }, records) = subject.load_tab(visit, "changes").await?;
    let job = &subject.view.job.id;
    let mut page = ChangesPage { frame, head, diff: None, patch: None, attempt: 0, is_cut: false, only };
    if let Some((attempt, artifact)) = records.patch() {
        page.attempt = *attempt;
        page.patch = Some(format!("/jobs/{job}/artifacts/{}", artifact.id));
        let bytes = control::read_artifact(&visit.ctx, job, *attempt, artifact, MAX_PATCH_BYTES).await?;
        page.is_cut = bytes.as_ref().is_some_and(|bytes| bytes.len() >= MAX_PATCH_BYTES);
        page.diff = bytes.map(|bytes| {
            let address = format!("{}/changes", page.head.address);
            Diff { address, ..diff::parse(&String::from_utf8_lossy(&bytes), only) }
        });
    }
    Ok(render_page(StatusCode::OK, &page))
}
