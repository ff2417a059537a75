//! Lists, changes and starts templates.

use crate::routes::prelude::*;
use crate::routes::runs::{show_whole, start_run, submit_problem};
use pullyard_control::{RunKey, RunSubmission, SubmitFault};
use pullyard_domain::project::template::{StartedBy, Submission, TemplateId};
use pullyard_entry::openapi::CreatedOrExisting;
use pullyard_protocol::run::Run;
use pullyard_protocol::template::{PutTemplate, StartTemplate, Template, Templates};
use serde_json::Value;

pub(crate) async fn list(
    ProjectCaller { caller, project }: ProjectCaller<scope::Read>,
) -> Result<Json<Templates>, Problem> {
    super::projects::load_project(&caller.ctx, &project).await?;
    let templates = control::list_templates(&caller.ctx, &project).await?.into_iter();
    Ok(Json(Templates { templates: templates.map(|found| Template { plan: None, ..Template::new(found) }).collect() }))
}

pub(crate) async fn show(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Read>,
    Path(id): Path<TemplateId>,
) -> Result<Json<Template>, Problem> {
    Ok(Json(Template::new(control::load_template(&caller.ctx, &id).await?)))
}

/// `422` with the faults of the plan.
pub(crate) async fn put(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Admin>,
    Path(id): Path<TemplateId>,
    StrictJson(PutTemplate { plan }): StrictJson<PutTemplate>,
) -> Result<Json<Template>, Problem> {
    let stored = control::put_template(&caller.ctx, &id, &Value::Object(plan), &caller.name).await;
    Ok(Json(Template::new(stored.map_err(submit_problem)?)))
}

pub(crate) async fn delete(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Admin>,
    Path(id): Path<TemplateId>,
) -> Result<Json<Template>, Problem> {
    Ok(Json(Template::new(control::delete_template(&caller.ctx, &id).await?)))
}

/// `201` for a new run, `200` for a repeat, `422` with the faults of the parameters.
pub(crate) async fn start(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Jobs>,
    Path(TemplateId { project, name }): Path<TemplateId>,
    IdempotencyKey(key): IdempotencyKey,
    StrictJson(request): StrictJson<StartTemplate>,
) -> Result<CreatedOrExisting<Run>, Problem> {
    let StartTemplate { params, repository, base, run_id } = request;
    let key = run_id.map(RunKey::Run).or_else(|| key.map(RunKey::Caller));
    let template = Some((name, StartedBy::Hand));
    let submission = RunSubmission { project, plan: Value::Null, template, params, repository, base };
    start_run(&caller, &submission, key).await
}

/// The run of the submission, also of a repeated one; `422` with the first fault, which the ledger has, too.
pub(crate) async fn submit(
    caller: Caller<scope::Jobs>,
    StrictJson(submission): StrictJson<Submission>,
) -> Result<Json<Run>, Problem> {
    caller.authorize_project(&submission.project)?;
    let run = control::submit(&caller.ctx, &submission, &caller.name).await?;
    let run = run.map_err(|fault| submit_problem(SubmitFault::Plan(vec![fault])))?;
    Ok(Json(show_whole(&caller.ctx, &run).await?))
}
