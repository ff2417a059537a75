//! Setup page: the endpoints that receive notices, and notices that did not reach them.

use crate::prelude::*;
use axum::Router;
use axum::routing::get;
use pullyard_domain::job::JobStatus;
use pullyard_domain::run::notice::{DeliveryState, Endpoint, EndpointKind, EndpointState, Notice, NoticeEvent};
use std::collections::BTreeSet;

pub(super) fn routes() -> Router<Context> {
    Router::new().route("/setup/notifications", get(show).post(change))
}

/// The form of an endpoint, and the buttons of its row and of a notice.
struct NotificationForm {
    project: String,
    action: String,
    id: String,
    kind: EndpointKind,
    url: String,
    events: BTreeSet<NoticeEvent>,
}

#[derive(Template)]
#[template(path = "notifications.html")]
struct NotificationsPage {
    frame: Frame,
    rows: Vec<Row>,
    dead: Vec<(TimeLabel, Notice)>,
    form: NotificationForm,
    fault: Option<Fault>,
    done: Option<Done>,
}

/// The result of an action. A signing secret is shown on no other page.
struct Done {
    sentence: SafeText,
    secret: Option<String>,
}

struct Row {
    pill: Pill,
    endpoint: Endpoint,
    state: EndpointState,
    sent_at: Option<TimeLabel>,
}

impl Default for NotificationForm {
    fn default() -> Self {
        let events = NoticeEvent::CHOICES.into_iter().filter(|event| event.is_default()).collect();
        let (project, action, id, url) = Default::default();
        Self { project, action, id, kind: EndpointKind::Slack, url, events }
    }
}

impl NotificationForm {
    /// Each checked box is a pair of its own.
    fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self, Fault> {
        let mut form = Self { events: BTreeSet::new(), ..Self::default() };
        for (name, value) in pairs {
            match name.as_str() {
                "project" => form.project = value,
                "action" => form.action = value,
                "id" => form.id = value.trim().to_owned(),
                "kind" if value == EndpointKind::Webhook.as_str() => form.kind = EndpointKind::Webhook,
                "kind" => {}
                "url" => form.url = value.trim().to_owned(),
                "event" => form.events.extend(NoticeEvent::CHOICES.into_iter().find(|event| event.as_str() == value)),
                _ => return Err(Fault::of_field(&name, "this form has no such field")),
            }
        }
        Ok(form)
    }
}

async fn show(visit: PageContext, Query(query): Query<ProjectQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    render(&visit, project, NotificationForm::default(), None, None).await
}

async fn change(visit: PageContext, Form(pairs): Form<Vec<(String, String)>>) -> Result<Response, Fault> {
    visit.check_admin("change notifications")?;
    let form = NotificationForm::from_pairs(pairs)?;
    let project = visit.load_named_project(&form.project).await?;
    match apply(&visit, &project.id, &form).await {
        Ok(Some(done)) => render(&visit, project, NotificationForm::default(), None, Some(done)).await,
        Ok(None) => Ok(redirect(&format!("/setup/notifications?project={}", project.id))),
        Err(fault) => render(&visit, project, form, Some(fault.for_form()?), None).await,
    }
}

async fn apply(visit: &PageContext, project: &ProjectId, form: &NotificationForm) -> Result<Option<Done>, Fault> {
    let ctx = &visit.ctx;
    if form.action == "redeliver" {
        let notice = parse_id("id", &form.id)?;
        if ctx.store.load_notice(&notice).await?.is_some_and(|stored| stored.data.project == *project) {
            control::redeliver_notice(ctx, &notice).await?;
        }
        return Ok(None);
    }
    let id = parse_id("id", &form.id)?;
    match form.action.as_str() {
        "test" => {
            let (works, answer) = control::test_endpoint(ctx, project, &id).await?;
            let result = if works { "accepted" } else { "did not accept" };
            return Ok(Some(Done { sentence: line(&format!("{id} {result} the test: {answer}.")), secret: None }));
        }
        "enable" => drop(control::enable_endpoint(ctx, project, &id).await?),
        "delete" => drop(control::delete_endpoint(ctx, project, &id).await?),
        _ => {
            let (kind, url, events) = (
                form.kind,
                Some(form.url.clone()),
                Some(form.events.iter().map(|event| event.as_str().to_owned()).collect()),
            );
            let endpoint = Endpoint { id, kind, url, url_secret: None, secret: None, events };
            let ((stored, _), secret) = control::put_endpoint(ctx, visit.change_of(project), endpoint).await?;
            let sentence = line(&format!("{} is stored. Send a test from its menu.", stored.id));
            return Ok(Some(Done { sentence, secret: secret.map(|secret| secret.expose()) }));
        }
    }
    Ok(None)
}

async fn render(
    visit: &PageContext,
    project: Project,
    form: NotificationForm,
    fault: Option<Fault>,
    done: Option<Done>,
) -> Result<Response, Fault> {
    let now = visit.ctx.clock.now();
    let active = Pill { word: "Active", ..labels::pill(JobStatus::Completed) };
    let disabled = Pill { word: "Disabled", ..labels::WRONG };
    let rows = control::list_endpoints(&visit.ctx, &project.id).await?.into_iter().map(|(endpoint, state)| Row {
        pill: if state.disabled.is_some() { disabled } else { active },
        sent_at: state.sent_at.map(|at| labels::format_time(at, now)),
        endpoint,
        state,
    });
    let (dead, _) = control::list_notices(&visit.ctx, &project.id, true, None).await?;
    let page = NotificationsPage {
        frame: visit.frame("Notifications", "notifications", Some(&project.id)),
        rows: rows.collect(),
        dead: dead.into_iter().map(|notice| (labels::format_time(notice.at, now), notice)).collect(),
        form,
        fault,
        done,
    };
    Ok(render_form(page.fault.as_ref(), &page))
}
