//! The open pull requests of a project, with the form that requests a review of one by an agent.

use super::request::ReviewForm;
use crate::prelude::*;
use pullyard_control::review::{PullRequestView, list_pull_request_views};
use pullyard_domain::id::JobId;

/// Each row costs several reads.
const PAGE_SIZE: i32 = 25;

#[derive(Deserialize)]
pub(crate) struct PullsQuery {
    project: Option<ProjectId>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "pulls.html")]
struct PullsPage {
    frame: Frame,
    project: String,
    may_work: bool,
    pulls: Vec<PullRequestView>,
    form: ReviewForm,
    form_key: String,
    fault: Option<Fault>,
    is_reviewed: bool,
    refusing_job: Option<JobId>,
    has_newer: bool,
    next: Option<String>,
    refresh: u32,
}

/// A request that started no job.
pub(super) struct Refusal {
    pub(super) fault: Fault,
    /// A full review is possible.
    pub(super) is_reviewed: bool,
    pub(super) job: Option<JobId>,
}

pub(crate) async fn show(visit: PageContext, Query(query): Query<PullsQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    render(&visit, &project, query.after, ReviewForm::default(), None).await
}

pub(super) async fn render(
    visit: &PageContext,
    project: &Project,
    after: Option<String>,
    form: ReviewForm,
    refusal: Option<Refusal>,
) -> Result<Response, Fault> {
    let (views, next) = list_pull_request_views(&visit.ctx, &project.id, after.as_deref(), PAGE_SIZE).await?;
    let (is_reviewed, refusing_job) =
        refusal.as_ref().map(|refusal| (refusal.is_reviewed, refusal.job.clone())).unwrap_or_default();
    let is_refused = refusal.is_some();
    let page = PullsPage {
        frame: visit.frame(&format!("Pull requests of {}", project.name), "pulls", Some(&project.id)),
        project: project.id.to_string(),
        may_work: visit.visitor.may_run_jobs(),
        pulls: views,
        form,
        // The old key would return the refusal again.
        form_key: new_form_key(),
        fault: refusal.map(|refusal| refusal.fault),
        is_reviewed,
        refusing_job,
        has_newer: after.is_some(),
        next: next.map(|next| format!("/pulls?project={}&after={}", project.id, percent_encode(&next))),
        refresh: if is_refused { 0 } else { labels::refresh_ms(false) },
    };
    Ok(render_form(page.fault.as_ref(), &page))
}
