//! Cancels or retries several jobs of the list.

use crate::frame::own_path;
use crate::prelude::*;
use crate::verdict::accepted_job;
use pullyard_domain::job::explanation;
use pullyard_domain::text::id::{EventId, JobId};

const MAX_JOBS: usize = super::PAGE_SIZE;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Cancel,
    Retry,
}

/// The form repeats `job`, which a struct could not read.
struct BulkForm {
    action: Action,
    project: ProjectId,
    jobs: Vec<String>,
    form_key: String,
    back: String,
}

#[derive(Template)]
#[template(path = "jobs_bulk.html")]
struct BulkPage {
    frame: Frame,
    summary: String,
    outcomes: Vec<Outcome>,
    back: String,
}

struct Outcome {
    job: SafeText,
    address: String,
    is_refused: bool,
    new_job: Option<(String, String)>,
    sentence: SafeText,
    help: Help,
}

impl BulkForm {
    fn parse(fields: Vec<(String, String)>) -> Result<Self, Fault> {
        let (mut action, mut project, mut jobs) = (None, None, Vec::new());
        let (mut form_key, mut back) = (String::new(), String::new());
        for (name, value) in fields {
            match (name.as_str(), value.as_str()) {
                ("action", "cancel") => action = Some(Action::Cancel),
                ("action", "retry") => action = Some(Action::Retry),
                ("project", _) => project = ProjectId::new(value).ok(),
                ("job", _) => jobs.push(value),
                ("form_key", _) => form_key = value,
                ("back", _) => back = value,
                _ => return Err(Fault::invalid("The form has an unknown field or action.")),
            }
        }
        if jobs.is_empty() {
            return Err(Fault::invalid("No job is selected.").help("Go back and select at least one job."));
        }
        if jobs.len() > MAX_JOBS {
            return Err(
                Fault::invalid(&format!("More than {MAX_JOBS} jobs are selected.")).help("Go back and select fewer.")
            );
        }
        jobs.dedup();
        let action = action.ok_or_else(|| Fault::invalid("The form has no action."))?;
        let project = project.ok_or_else(|| Fault::not_found("There is no such project."))?;
        Ok(Self { action, project, jobs, form_key, back })
    }
}

/// Renders the result at once. A reload repeats the request, which then changes nothing.
pub(crate) async fn run(visit: PageContext, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let form = BulkForm::parse(fields)?;
    let project = visit.load_project(&form.project).await?;
    let mut outcomes = Vec::with_capacity(form.jobs.len());
    for id in &form.jobs {
        outcomes.push(run_one(&visit, &form, &project.id, id).await);
    }
    let accepted = outcomes.iter().filter(|outcome| !outcome.is_refused).count();
    let refused = outcomes.len() - accepted;
    let (heading, verb) = match form.action {
        Action::Cancel => ("Cancel jobs", "cancelled"),
        Action::Retry => ("Retry jobs", "retried"),
    };
    let was = if accepted == 1 { "was" } else { "were" };
    let jobs = labels::format_count(accepted, "job");
    let page = BulkPage {
        frame: visit.frame(heading, "jobs", Some(&project.id)),
        summary: match refused {
            0 => format!("{jobs} {was} {verb}."),
            _ => format!("{jobs} {was} {verb}, {refused} refused."),
        },
        outcomes,
        back: match form.back.as_str() {
            "" => format!("/jobs?project={}", project.id),
            back => own_path(Some(back)).to_owned(),
        },
    };
    Ok(render_page(StatusCode::OK, &page))
}

async fn run_one(visit: &PageContext, form: &BulkForm, project: &ProjectId, id: &str) -> Outcome {
    let (job, address) = JobId::new(id.to_owned())
        .map_or_else(|_| (line(id), String::new()), |id| (line(&id.short()), format!("/jobs/{id}")));
    match try_one(visit, form, project, id).await {
        Ok((sentence, new)) => {
            let new_job = new.map(|new| (format!("/jobs/{new}"), new.short()));
            Outcome { job, address, is_refused: false, new_job, sentence: line(&sentence), help: Help::default() }
        }
        Err(fault) => {
            Outcome { job, address, is_refused: true, new_job: None, sentence: fault.sentence, help: fault.help }
        }
    }
}

async fn try_one(
    visit: &PageContext,
    form: &BulkForm,
    project: &ProjectId,
    id: &str,
) -> Result<(String, Option<JobId>), Fault> {
    let missing = || Fault::not_found(&format!("There is no job {id}."));
    let id = JobId::new(id.to_owned()).map_err(|_| missing())?;
    let job = visit.ctx.store.load_job(&id).await?;
    job.filter(|job| job.project == *project).ok_or_else(missing)?;
    if form.action == Action::Cancel {
        let job = control::cancel_job(&visit.ctx, &id, &visit.visitor.name, None).await?;
        return Ok((explanation::explain_job(&job, None, None, visit.ctx.clock.now()).0, None));
    }
    let key = EventId::new(format!("{}-{id}", form.form_key)).ok().filter(|_| !form.form_key.is_empty());
    let answer = control::retry_job(&visit.ctx, &id, &visit.requester(), key).await?;
    let job = accepted_job(&answer)?;
    Ok((answer.reason.sentence(), Some(job)))
}
