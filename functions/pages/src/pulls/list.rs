//! The open pull requests of a project, with the form that requests a review of one by an agent.

use super::request::ReviewForm;
use crate::prelude::*;
use pullyard_control::review::{PullRequestView, list_pull_request_views};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::JobId;

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

pub(crate) async fn show(visit: PageContext, Query(query): Query<PullsQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    render(&visit, &project, query.after, ReviewForm::default(), None).await
}

/// `refusal`: a refused request, with the reason if a guard refused it.
pub(super) async fn render(
    visit: &PageContext,
    project: &Project,
    after: Option<String>,
    form: ReviewForm,
    refusal: Option<(Fault, Option<Reason>)>,
) -> Result<Response, Fault> {
    let (views, next) = list_pull_request_views(&visit.ctx, &project.id, after.as_deref(), PAGE_SIZE).await?;
    let (mut fault, reason) = refusal.unzip();
    let (is_reviewed, refusing_job) = match reason.flatten() {
        Some(Reason::AlreadyReviewed { job, .. }) => (true, Some(job)),
        Some(Reason::ReviewRunning { job, .. }) => (false, Some(job)),
        _ => (false, None),
    };
    if let Some(fault) = fault.as_mut().filter(|_| is_reviewed) {
        // The page has a button for it.
        fault.help = Help::default();
    }
    let page = PullsPage {
        frame: visit.frame(&format!("Pull requests of {}", project.name), "pulls", Some(&project.id)),
        pulls: views,
        form,
        // The old key would return the refusal again.
        form_key: new_form_key(),
        is_reviewed,
        refusing_job,
        has_newer: after.is_some(),
        next: next.map(|next| format!("/pulls?project={}&after={}", project.id, percent_encode(&next))),
        refresh: if fault.is_some() { 0 } else { labels::refresh_ms(false) },
        fault,
    };
    Ok(render_form(page.fault.as_ref(), &page))
}
