//! What a job reports besides changes.

use super::tabs::Tabs;
use super::{Shell, Subject, load_subject};
use crate::job::head::JobHead;
use crate::markdown::{self, Below, SafeHtml};
use crate::prelude::*;
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::output::{Answer, JobOutput};

#[derive(Template)]
#[template(path = "job_output.html")]
struct OutputPage {
    frame: Frame,
    head: JobHead,
    tabs: Tabs,
    answer: Option<SafeHtml>,
}

pub(crate) async fn show(visit: PageContext, Path(id): Path<JobId>) -> Result<Response, Fault> {
    let subject = load_subject(&visit, id).await?;
    render(&visit, &subject).await
}

pub(super) async fn render(visit: &PageContext, subject: &Subject) -> Result<Response, Fault> {
    let output = control::load_output(&visit.ctx, &subject.view.job.id).await?;
    let answer = output.map(|output| match output {
        JobOutput::Read(Answer { text }) => markdown::render(&text, Below::Title),
        JobOutput::Review(posted) => markdown::render(&posted.review.summary, Below::Title),
    });
    let (Shell { frame, head, tabs }, _) = subject.load_tab(visit, "output").await?;
    Ok(render_page(StatusCode::OK, &OutputPage { frame, head, tabs, answer }))
}
