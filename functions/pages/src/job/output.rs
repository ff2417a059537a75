//! Renders the output of a job that reports.

use super::{Shell, Subject, load_subject};
use crate::analyses::items_url;
use crate::job::head::JobHead;
use crate::markdown::{self, Below, SafeHtml};
use crate::prelude::*;
use pullyard_domain::job::{JobKind, JobStatus};
use pullyard_domain::review::output::{Answer, JobOutput, PostedReview};
use pullyard_domain::text::id::JobId;

#[derive(Template)]
#[template(path = "job_output.html")]
struct OutputPage {
    frame: Frame,
    head: JobHead,
    /// The answer, or the summary of a review.
    html: Option<SafeHtml>,
    review: Option<PostedReview>,
    /// The page with the items of an analysis.
    analysis: Option<String>,
}

pub(crate) async fn show(visit: PageContext, Path(id): Path<JobId>) -> Result<Response, Fault> {
    let subject = load_subject(&visit, id).await?;
    render(&visit, &subject).await
}

pub(super) async fn render(visit: &PageContext, subject: &Subject) -> Result<Response, Fault> {
    let output = control::load_output(&visit.ctx, &subject.view.job.id).await?;
    let (text, review) = match output {
        Some(JobOutput::Read(Answer { text, .. })) => (Some(text), None),
        Some(JobOutput::Review(posted)) => (Some(posted.review.summary.clone()), Some(posted)),
        Some(JobOutput::Analysis(report)) => (Some(report.sentence()), None),
        None => (None, None),
    };
    let repository = subject.view.repository.as_ref().filter(|_| subject.view.job.kind == JobKind::Analysis);
    let analysis = repository.map(|repository| items_url(&subject.view.job.project, repository));
    let html = text.map(|text| markdown::render(&text, Below::Title));
    let (Shell { frame, head }, _) = subject.load_tab(visit, "output").await?;
    Ok(render_page(StatusCode::OK, &OutputPage { frame, head, html, review, analysis }))
}
