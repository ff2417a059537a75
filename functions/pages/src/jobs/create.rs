//! The form that creates a job.

use super::filter::JobsQuery;
use crate::labels;
use crate::prelude::*;
use crate::verdict::accepted_job;
use pullyard_control::Answer;
use pullyard_domain::job::{JobKind, Priority};
use pullyard_domain::project::labels::parse_labels;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::job::CreateJob;

#[derive(Template)]
#[template(path = "job_new.html")]
struct JobFormPage {
    frame: Frame,
    repositories: Vec<String>,
    form: JobForm,
    fault: Option<Fault>,
    other: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobForm {
    project: String,
    #[serde(default)]
    kind: JobKind,
    #[serde(default)]
    ticket: String,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    base: String,
    #[serde(default)]
    agent: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    labels: String,
    #[serde(default)]
    priority: String,
    #[serde(default)]
    form_key: String,
}

pub(crate) async fn show_form(visit: PageContext, Query(query): Query<JobsQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    visit.check_may_work()?;
    let form = JobForm { ticket: query.ticket, ..JobForm::default() };
    render(&visit, &project, form, None).await
}

async fn render(
    visit: &PageContext,
    project: &Project,
    form: JobForm,
    refusal: Option<(Fault, Option<JobId>)>,
) -> Result<Response, Fault> {
    let repositories = visit.ctx.store.list_repositories(&project.id).await?;
    let (fault, other) = refusal.unzip();
    let page = JobFormPage {
        frame: visit.frame("Create job", "jobs", Some(&project.id)),
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        // A new key, because a refused request is not repeated.
        form: JobForm { form_key: new_form_key(), ..form },
        fault,
        other: other.flatten().map(|job| format!("/jobs/{job}")),
    };
    Ok(render_form(page.fault.as_ref(), &page))
}

pub(crate) async fn create(visit: PageContext, Form(form): Form<JobForm>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    let refusal = match create_job(&visit, &project.id, &form).await {
        Ok(answer) => match accepted_job(&answer) {
            Ok(job) => return Ok(redirect(&format!("/jobs/{job}"))),
            Err(refusal) => (refusal, answer.job),
        },
        Err(fault) => (fault.for_form()?, None),
    };
    render(&visit, &project, form, Some(refusal)).await
}

async fn create_job(visit: &PageContext, project: &ProjectId, form: &JobForm) -> Result<Answer, Fault> {
    let new = CreateJob {
        project: project.clone(),
        kind: form.kind,
        ticket: parse_optional_id("ticket", &form.ticket)?,
        prompt: non_empty(&form.prompt.replace("\r\n", "\n")),
        repository: parse_optional_id("repository", &form.repository)?,
        base: non_empty(&form.base),
        agent: non_empty(&form.agent),
        model: non_empty(&form.model),
        labels: parse_labels(&form.labels),
        priority: Priority::ALL.into_iter().find(|priority| priority.as_str() == form.priority),
    };
    let request = limits::parse_job_request(new)?;
    let key = request_key(&form.form_key);
    Ok(control::create_job(&visit.ctx, &request, &visit.requester(), key).await?)
}
