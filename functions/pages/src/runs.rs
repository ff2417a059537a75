//! Lists a project's runs, and starts one with a single step.

mod checks;
mod diagram;
pub(crate) mod orders;
pub(crate) mod page;
pub(crate) mod pills;

use crate::prelude::*;
use pullyard_control::{RunKey, RunSubmission, SubmitFault};
use pullyard_domain::project::plan::MAX_NAME_CHARS;
use pullyard_domain::run::{Run, RunState};
use pullyard_domain::text::id::{RepositoryName, RunId};
use pullyard_domain::text::truncate;
use serde_json::json;
use std::collections::BTreeMap;

const PAGE_SIZE: usize = 50;

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    frame: Frame,
    runs: Vec<Run>,
    now: Timestamp,
    repositories: Vec<String>,
    form: StartForm,
    fault: Option<Fault>,
    has_newer: bool,
    next: Option<String>,
    refresh: u32,
}

#[derive(Deserialize)]
pub(crate) struct RunsQuery {
    project: Option<ProjectId>,
    after: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StartForm {
    project: String,
    prompt: String,
    /// One command per line.
    checks: String,
    repository: String,
    form_key: String,
}

/// `3/8`, of all steps.
fn count_ended(run: &Run) -> String {
    let ended = run.steps.iter().filter(|step| step.state.is_terminal()).count();
    format!("{ended}/{}", run.steps.len())
}

pub(crate) async fn list(visit: PageContext, Query(query): Query<RunsQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    render(&visit, &project, query.after.as_deref(), StartForm::default(), None).await
}

async fn render(
    visit: &PageContext,
    project: &Project,
    after: Option<&str>,
    form: StartForm,
    fault: Option<Fault>,
) -> Result<Response, Fault> {
    let (runs, next) = control::list_runs(&visit.ctx, &project.id, after, PAGE_SIZE).await?;
    let may_work = visit.visitor.may_run_jobs();
    let repositories = if may_work { visit.ctx.store.list_repositories(&project.id).await? } else { Vec::new() };
    // A question may wait for days.
    let is_idle = |run: &Run| run.asked_steps().next().is_some() && run.open_jobs().next().is_none();
    let is_busy = |run: &Run| run.state == RunState::Running && !is_idle(run);
    let page = RunsPage {
        frame: visit.frame(&format!("Runs of {}", project.name), "runs", Some(&project.id)),
        refresh: labels::refresh_ms(runs.iter().any(is_busy)),
        runs,
        now: visit.ctx.clock.now(),
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        // A new key, because a refused request is not repeated.
        form: StartForm { form_key: new_form_key(), ..form },
        fault,
        has_newer: after.is_some(),
        next,
    };
    Ok(render_form(page.fault.as_ref(), &page))
}

pub(crate) async fn start(visit: PageContext, Form(form): Form<StartForm>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    match submit(&visit, &project.id, &form).await {
        Ok(run) => Ok(redirect(&format!("/runs/{run}"))),
        Err(fault) => render(&visit, &project, None, form, Some(fault.for_form()?)).await,
    }
}

/// Submits a plan with the one step `main`, like `pullyard run --prompt`.
async fn submit(visit: &PageContext, project: &ProjectId, form: &StartForm) -> Result<RunId, Fault> {
    let prompt = form.prompt.replace("\r\n", "\n");
    let prompt = prompt.trim();
    if prompt.is_empty() {
        return Err(Fault::of_field("prompt", "write what to do"));
    }
    let checks: Vec<&str> = form.checks.lines().map(str::trim).filter(|check| !check.is_empty()).collect();
    let mut step = json!({ "name": "main", "prompt": prompt });
    if !checks.is_empty() {
        step["checks"] = json!(checks);
    }
    let name = truncate(prompt.lines().next().unwrap_or_default(), MAX_NAME_CHARS);
    let submission = RunSubmission {
        project: project.clone(),
        plan: json!({ "name": name, "steps": [step] }),
        template: None,
        params: BTreeMap::new(),
        repository: parse_optional_id::<RepositoryName>("repository", &form.repository)?,
        base: None,
    };
    let key = request_key(&form.form_key).map(RunKey::Caller);
    match control::submit_run(&visit.ctx, &submission, &visit.requester(), key.as_ref()).await {
        Ok(submitted) => Ok(submitted.run.id),
        Err(SubmitFault::Error(error)) => Err(error.into()),
        Err(SubmitFault::Plan(faults)) => {
            let first = faults.first().map(|fault| (fault.pointer.trim_start_matches("/plan/steps/0"), &fault.fault));
            let (pointer, fault) = first.map_or(("", "it is refused"), |(pointer, fault)| (pointer, fault.as_str()));
            // The name is the first line of the prompt.
            let field = if pointer == "/plan/name" { "prompt" } else { pointer.trim_start_matches('/') };
            Err(Fault::of_field(field, fault))
        }
    }
}
