//! Setup page: the ticket tool of a project, and the connections to tools.

use crate::board::ticket_url;
use crate::labels::{TimeLabel, format_time};
use crate::prelude::*;
use axum::Router;
use axum::routing::get;
use pullyard_control::{AddedTracker, NewTracker, TrackerView};
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::tracker::{ToolScope, ToolStatus, Tracker, TrackerKind, UnsyncedTicket};
use pullyard_domain::project::{Statuses, ToolChoice};
use pullyard_domain::text::id::IntegrationId;

pub(super) fn routes() -> Router<Context> {
    Router::new().route("/setup/tracker", get(show).post(change))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ToolQuery {
    project: Option<ProjectId>,
    /// The connection to set up for the project.
    tool: Option<IntegrationId>,
    scope: String,
}

/// The form of a new connection, the choice of its statuses, and the buttons of each connection.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ToolForm {
    project: String,
    id: String,
    kind: String,
    url: String,
    credential: String,
    cloud_id: String,
    scope: String,
    trigger: String,
    todo: String,
    completion: String,
    merged: String,
    unmerged: String,
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
    trigger: SafeText,
    starts_jobs: bool,
    used: Option<String>,
    rows: Vec<ToolRow>,
    unsynced: Vec<UnsyncedRow>,
    /// The secret and the webhook address of a tool that was just connected.
    added: Option<(Tracker, String, String)>,
    choice: Option<Choice>,
    report: Vec<String>,
    form: ToolForm,
    fault: Option<Fault>,
}

struct ToolRow {
    pill: Pill,
    tool: Tracker,
    /// Times of the last success and of the last delivery.
    times: [Option<TimeLabel>; 2],
}

struct UnsyncedRow {
    key: SafeText,
    address: String,
    since: TimeLabel,
    problem: SafeText,
}

/// The lists of a tool from which its project or team, then its statuses are chosen.
struct Choice {
    tool: IntegrationId,
    kind: TrackerKind,
    scope: String,
    scopes: Vec<ToolScope>,
    statuses: Vec<ToolStatus>,
    /// Name, label and present value of each choice.
    fields: Vec<(&'static str, &'static str, String)>,
}

/// The parts of the page that depend on the request.
#[derive(Default)]
struct View {
    added: Option<AddedTracker>,
    choice: Option<Choice>,
    report: Vec<String>,
    form: ToolForm,
    fault: Option<Fault>,
}

async fn show(visit: PageContext, Query(query): Query<ToolQuery>) -> Result<Response, Fault> {
    let ToolQuery { project, tool, scope } = query;
    let Some(project) = visit.load_selected_project(project).await? else { return Ok(redirect_to_start()) };
    let mut view = View::default();
    if let Some(tool) = tool {
        match load_choice(&visit, &project.settings.statuses, tool, scope).await {
            Ok(choice) => view.choice = Some(choice),
            Err(fault) => view.fault = Some(fault.for_form()?),
        }
    }
    render(&visit, project, view).await
}

async fn change(visit: PageContext, Form(form): Form<ToolForm>) -> Result<Response, Fault> {
    let project = visit.load_named_project(&form.project).await?;
    match apply(&visit, &project, &form).await {
        Ok(view) if view.added.is_some() => render(&visit, project, view).await,
        Ok(view) if !view.report.is_empty() => {
            render(&visit, visit.load_named_project(&form.project).await?, view).await
        }
        Ok(_) => Ok(redirect(&format!("/setup/tracker?project={}", project.id))),
        Err(fault) => {
            let mut view = View { fault: Some(fault.for_form()?), ..View::default() };
            if form.action == Some(Action::Use) && !form.scope.is_empty() {
                let tool: IntegrationId = parse_id("id", &form.id)?;
                let chosen = form.choice(tool.clone()).choose(project.settings.statuses.clone());
                view.choice = load_choice(&visit, &chosen, tool, form.scope.clone()).await.ok();
            }
            render(&visit, project, View { form: ToolForm { credential: String::new(), ..form }, ..view }).await
        }
    }
}

async fn load_choice(
    visit: &PageContext,
    before: &Statuses,
    tool: IntegrationId,
    scope: String,
) -> Result<Choice, Fault> {
    visit.check_operator("choose the ticket tool of a project")?;
    let (scopes, statuses) = control::list_tool(&visit.ctx, &tool, &scope).await?;
    let kind = control::load_tracker(&visit.ctx, &tool).await?.kind;
    let Statuses { trigger, todo, completion, merged, unmerged, .. } = before.clone();
    let fields = vec![
        ("trigger", "Starts a job", trigger),
        ("todo", "After a failed job", todo),
        ("completion", "After a completed job", completion),
        ("merged", "After the merge", merged.unwrap_or_default()),
        ("unmerged", "After a close without a merge", unmerged.unwrap_or_default()),
    ];
    Ok(Choice { tool, kind, scope, scopes, statuses, fields })
}

impl ToolForm {
    fn choice(&self, connection: IntegrationId) -> ToolChoice {
        let named = |name: &String| Some(name.clone()).filter(|name| !name.is_empty());
        ToolChoice {
            scope: self.scope.clone(),
            trigger: named(&self.trigger),
            todo: named(&self.todo),
            completion: named(&self.completion),
            merged: named(&self.merged),
            unmerged: named(&self.unmerged),
            ..ToolChoice::new(connection)
        }
    }
}

async fn apply(visit: &PageContext, project: &Project, form: &ToolForm) -> Result<View, Fault> {
    let ctx = &visit.ctx;
    match form.action {
        Some(Action::Board) => visit.check_admin("change the ticket tool of a project")?,
        _ => visit.check_operator("manage ticket tools")?,
    }
    if form.action == Some(Action::Board) {
        let report = control::unuse_tracker(ctx, &project.id).await?.report;
        return Ok(View { report, ..View::default() });
    }
    let id: IntegrationId = parse_id("id", &form.id)?;
    let mut view = View::default();
    match form.action {
        Some(Action::Use) => {
            let mut choice = form.choice(id);
            // The form always names the status, whose choice would start jobs where they are switched off.
            if !control::is_new_tool(ctx, &project.id, &choice).await? {
                choice.trigger.take_if(|trigger| *trigger == project.settings.statuses.trigger);
            }
            view.report = control::use_tracker(ctx, &project.id, choice).await?.report;
        }
        Some(Action::Test) => drop(control::test_tracker(ctx, &id).await?),
        Some(Action::Delete) => view.report = control::delete_tracker(ctx, &id).await?.report,
        Some(Action::Add | Action::Board) | None => {
            let given = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            let kind = TrackerKind::ALL.into_iter().find(|kind| kind.as_str() == form.kind);
            let kind = kind.unwrap_or(TrackerKind::Http);
            let (url, cloud_id, credential) = (given(&form.url), given(&form.cloud_id), given(&form.credential));
            let new = NewTracker { id, kind, url, secret: None, cloud_id, credential };
            view.added = Some(control::add_tracker(ctx, new).await?);
        }
    }
    Ok(view)
}

async fn render(visit: &PageContext, project: Project, view: View) -> Result<Response, Fault> {
    let View { added, choice, report, form, fault } = view;
    let pill = |tracker: &Tracker| match (&tracker.problem, tracker.last_ok) {
        (Some(_), _) => Pill { word: "Fails", ..labels::pill(JobStatus::Failed) },
        (None, Some(_)) => Pill { word: "Works", ..labels::pill(JobStatus::Completed) },
        (None, None) => Pill { word: "Not called yet", ..labels::pill(JobStatus::Ready) },
    };
    let found = control::list_trackers(&visit.ctx).await?;
    let unsynced = control::list_unsynced_tickets(&visit.ctx, &project).await?;
    let now = visit.ctx.clock.now();
    let to_row = |TrackerView { tracker, last_delivery }: TrackerView| ToolRow {
        pill: pill(&tracker),
        times: [tracker.last_ok, last_delivery].map(|at| at.map(|at| format_time(at, now))),
        tool: tracker,
    };
    let to_unsynced = |ticket: UnsyncedTicket| UnsyncedRow {
        key: line(ticket.key.as_str()),
        address: ticket_url(&ticket.project, &ticket.key),
        since: format_time(ticket.since, now),
        problem: line(&ticket.problem),
    };
    let page = TrackersPage {
        frame: visit.frame("Ticket tool", "tracker", Some(&project.id)),
        trigger: line(&project.settings.statuses.trigger),
        starts_jobs: project.settings.auto_create,
        used: project.settings.tracker.map(|tool| tool.connection.to_string()),
        // Connections belong to all projects.
        rows: found.into_iter().filter(|_| visit.visitor.may_access_all_projects()).map(to_row).collect(),
        unsynced: unsynced.into_iter().map(to_unsynced).collect(),
        added: added.and_then(|AddedTracker { tracker, signing_secret }| {
            let webhook = control::hook_url(&visit.ctx, &tracker);
            Some((tracker, signing_secret?, webhook))
        }),
        choice,
        report,
        form,
        fault,
    };
    Ok(render_form(page.fault.as_ref(), &page))
}
