//! Setup page: the ticket tool of a project, and the connections to tools.

use crate::prelude::*;
use axum::Router;
use axum::routing::get;
use pullyard_control::{AddedTracker, NewTracker};
use pullyard_domain::id::IntegrationId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::tracker::{ToolChoice, Tracker, TrackerKind};

pub(super) fn routes() -> Router<Context> {
    Router::new().route("/setup/tracker", get(show).post(change))
}

/// The form of a new connection, and the buttons of each connection.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ToolForm {
    project: String,
    id: String,
    url: String,
    action: Option<Action>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Add,
    Use,
    Board,
    Test,
    Delete,
}

#[derive(Template)]
#[template(path = "trackers.html")]
struct TrackersPage {
    frame: Frame,
    project: String,
    trigger: SafeText,
    used: Option<String>,
    may_administer: bool,
    may_operate: bool,
    rows: Vec<(Pill, Tracker)>,
    /// The name, the secret and the webhook address of a tool that was just connected.
    added: Option<(String, String, String)>,
    form: ToolForm,
    fault: Option<Fault>,
}

async fn show(visit: PageContext, Query(query): Query<ProjectQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    render(&visit, project, ToolForm::default(), None, None).await
}

async fn change(visit: PageContext, Form(form): Form<ToolForm>) -> Result<Response, Fault> {
    let project = visit.load_named_project(&form.project).await?;
    match apply(&visit, &project.id, &form).await {
        Ok(Some(added)) => render(&visit, project, ToolForm::default(), Some(added), None).await,
        Ok(None) => Ok(redirect(&format!("/setup/tracker?project={}", project.id))),
        Err(fault) => render(&visit, project, form, None, Some(fault.for_form()?)).await,
    }
}

async fn apply(visit: &PageContext, project: &ProjectId, form: &ToolForm) -> Result<Option<AddedTracker>, Fault> {
    let ctx = &visit.ctx;
    match form.action {
        Some(Action::Use | Action::Board) => visit.check_admin("change the ticket tool of a project")?,
        _ => visit.check_operator("manage ticket tools")?,
    }
    if form.action == Some(Action::Board) {
        control::unuse_tracker(ctx, project).await?;
        return Ok(None);
    }
    let id: IntegrationId = parse_id("id", &form.id)?;
    match form.action {
        Some(Action::Use) => drop(control::use_tracker(ctx, project, ToolChoice::new(id)).await?),
        Some(Action::Test) => drop(control::test_tracker(ctx, &id).await?),
        Some(Action::Delete) => drop(control::delete_tracker(ctx, &id).await?),
        Some(Action::Add | Action::Board) | None => {
            let new = NewTracker { id, kind: TrackerKind::Http, url: Some(form.url.clone()), secret: None };
            return Ok(Some(control::add_tracker(ctx, new).await?));
        }
    }
    Ok(None)
}

async fn render(
    visit: &PageContext,
    project: Project,
    form: ToolForm,
    added: Option<AddedTracker>,
    fault: Option<Fault>,
) -> Result<Response, Fault> {
    let pill = |tracker: &Tracker| match (&tracker.problem, tracker.last_ok) {
        (Some(_), _) => Pill { word: "Fails", ..labels::pill(JobStatus::Failed) },
        (None, Some(_)) => Pill { word: "Works", ..labels::pill(JobStatus::Completed) },
        (None, None) => Pill { word: "Not called yet", ..labels::pill(JobStatus::Ready) },
    };
    let found = visit.ctx.store.list_trackers().await?;
    let page = TrackersPage {
        frame: visit.frame("Ticket tool", "tracker", Some(&project.id)),
        project: project.id.to_string(),
        trigger: line(&project.settings.statuses.trigger),
        used: project.settings.tracker.map(|tool| tool.connection.to_string()),
        may_administer: visit.visitor.may_administer(),
        may_operate: visit.visitor.may_operate(),
        // Connections belong to all projects.
        rows: found
            .into_iter()
            .filter(|_| visit.visitor.may_access_all_projects())
            .map(|found| (pill(&found), found))
            .collect(),
        added: added.and_then(|AddedTracker { tracker, signing_secret }| {
            let webhook = format!("{}/webhooks/http/{}", visit.ctx.pages_url(), tracker.id);
            Some((tracker.id.to_string(), signing_secret?, webhook))
        }),
        form,
        fault,
    };
    Ok(render_form(page.fault.as_ref(), &page))
}
