//! Setup page: schedules. The API function changes them, because only its role may delete them.

use crate::prelude::*;
use crate::setup::repositories::RemovalPage;
use axum::Router;
use axum::routing::get;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::schedule::{ScheduleCommand, ScheduleId, ScheduleSpec};
use pullyard_protocol::schedule::Schedule;

pub(super) fn routes() -> Router<Context> {
    Router::new().route("/setup/schedules", get(show).post(change))
}

/// Fills the form with a schedule to change.
#[derive(Deserialize)]
struct SchedulesQuery {
    project: Option<ProjectId>,
    #[serde(default)]
    name: String,
}

/// The form of a schedule, and the buttons of its row.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ScheduleForm {
    project: String,
    name: String,
    every: String,
    cron: String,
    window: String,
    cooldown: String,
    zone: String,
    command: Option<ScheduleCommand>,
    delete: Option<Deletion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Deletion {
    Ask,
    Confirmed,
}

#[derive(Template)]
#[template(path = "schedules.html")]
struct SchedulesPage {
    frame: Frame,
    rows: Vec<(Pill, Schedule)>,
    form: ScheduleForm,
    fault: Option<Fault>,
}

async fn show(visit: PageContext, Query(query): Query<SchedulesQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    render(&visit, project, ScheduleForm { name: query.name, ..ScheduleForm::default() }, None).await
}

async fn change(visit: PageContext, Form(form): Form<ScheduleForm>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    if let Some(Deletion::Ask) = form.delete {
        return Ok(question(&visit, &project, form.name).render());
    }
    match apply(&visit.ctx, &project.id, &form).await {
        Ok(_) => Ok(redirect(&format!("/setup/schedules?project={}", project.id))),
        Err(fault) => render(&visit, project, form, Some(fault.for_form()?)).await,
    }
}

async fn apply(ctx: &Context, project: &ProjectId, form: &ScheduleForm) -> Result<(), Fault> {
    let id = ScheduleId { project: project.clone(), name: parse_id("name", &form.name)? };
    if form.delete.is_some() {
        control::delete_schedule(ctx, &id).await?;
    } else if let Some(command) = form.command {
        control::command_schedule(ctx, &id, command).await?;
    } else {
        let [every, cron, window, cooldown, zone] =
            [&form.every, &form.cron, &form.window, &form.cooldown, &form.zone].map(|field| non_empty(field));
        // The form changes the times of a schedule; its action stays.
        let found = ctx.store.load_schedule(&id).await.map_err(control::Error::from)?.map(|found| found.spec);
        let action = found.unwrap_or_else(|| ScheduleSpec { analyse: true, ..ScheduleSpec::default() });
        let spec = ScheduleSpec { every, cron, window, cooldown, zone, ..action };
        control::put_schedule(ctx, &id, spec).await?;
    }
    Ok(())
}

async fn render(
    visit: &PageContext,
    project: Project,
    mut form: ScheduleForm,
    fault: Option<Fault>,
) -> Result<Response, Fault> {
    let (now, found) = (visit.ctx.clock.now(), visit.ctx.store.list_schedules(&project.id).await?);
    let chosen = found.iter().find(|found| fault.is_none() && found.id.name.as_str() == form.name);
    if let Some(ScheduleSpec { every, cron, window, cooldown, zone, .. }) = chosen.map(|found| found.spec.clone()) {
        let [every, cron, window, cooldown, zone] =
            [every, cron, window, cooldown, zone].map(Option::unwrap_or_default);
        form = ScheduleForm { every, cron, window, cooldown, zone, ..form };
    }
    let active = Pill { word: "Active", ..labels::pill(JobStatus::Completed) };
    let pill = |paused| if paused { labels::pill(JobStatus::Paused) } else { active };
    let page = SchedulesPage {
        frame: visit.frame("Schedules", "schedules", Some(&project.id)),
        rows: found.into_iter().map(|found| (pill(found.paused), Schedule::new(found, now))).collect(),
        form,
        fault,
    };
    Ok(render_form(page.fault.as_ref(), &page))
}

fn question(visit: &PageContext, project: &Project, name: String) -> RemovalPage {
    RemovalPage {
        frame: visit.frame("Delete a schedule", "schedules", Some(&project.id)),
        question: line(&format!("Delete the schedule {name}?")),
        effect: line("It starts nothing more; running jobs continue."),
        verb: "Delete schedule",
        action: "/setup/schedules".into(),
        fields: vec![("project", project.id.to_string()), ("name", name), ("delete", "confirmed".into())],
        option: None,
        back: format!("/setup/schedules?project={}", project.id),
        fault: None,
    }
}
