//! Lists and creates jobs.

use crate::board::{NoProject, address_of};
use crate::fault::Fault;
use crate::form::{Form, given, once};
use crate::frame::{Frame, go, page};
use crate::text::{Text, line};
use crate::visit::Visit;
use crate::words::{self, Pill, When};
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use pullyard_control::{self as control, Error, JobRequest, JobView};
use pullyard_domain::agent;
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::{EventId, JobId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::listing::JobFilter;
use pullyard_domain::project::Project;
use pullyard_entry::{Problem, Query, limits};
use pullyard_protocol::job::CreateJob;
use serde::Deserialize;

const PAGE: usize = 50;

#[derive(Deserialize)]
pub(crate) struct Asked {
    project: Option<ProjectId>,
    after: Option<String>,
    ticket: Option<String>,
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    frame: Frame,
    project: String,
    may_work: bool,
    jobs: Vec<Row>,
    later: bool,
    next: Option<String>,
    refresh: u32,
}

pub(crate) struct Row {
    pub(crate) pill: Pill,
    pub(crate) short: String,
    pub(crate) address: String,
    pub(crate) revises: Option<u64>,
    pub(crate) title: Text,
    pub(crate) ticket: Option<(String, Text)>,
    pub(crate) took: String,
    pub(crate) when: When,
    pub(crate) sentence: Option<Text>,
}

impl Row {
    pub(crate) fn new(view: &JobView) -> Self {
        let JobView { job, title, revises, now, .. } = view;
        Self {
            pill: words::pill(job.status),
            short: job.id.short(),
            address: format!("/jobs/{}", job.id),
            revises: revises.as_ref().map(|of| of.number),
            title: line(title),
            ticket: job.ticket.as_ref().map(|key| (address_of(&job.project, key), line(key.as_str()))),
            took: words::took(job, *now),
            when: words::when(job.created, *now),
            sentence: words::sentence(view),
        }
    }
}

pub(crate) async fn list(visit: Visit, asked: Result<Query<Asked>, Problem>) -> Result<Response, Fault> {
    let Query(asked) = asked?;
    let Some(project) = visit.project(asked.project).await? else { return Ok(NoProject::of(&visit, "jobs")) };
    let all = JobFilter::default();
    let found = control::list_jobs(&visit.ctx, &project.id, &all, asked.after.as_deref(), PAGE).await?;
    let (views, next) = (found.jobs, found.next);
    let shown = JobsPage {
        frame: visit.frame(&format!("Jobs of {}", project.name), "jobs", Some(&project.id)),
        may_work: visit.visitor.may_work(),
        jobs: views.iter().map(Row::new).collect(),
        refresh: words::refresh(views.iter().any(|view| !view.job.status.is_terminal())),
        later: asked.after.is_some(),
        next: next.map(|next| format!("/jobs?project={}&after={next}", project.id)),
        project: project.id.to_string(),
    };
    Ok(page(StatusCode::OK, &shown))
}

#[derive(Template)]
#[template(path = "job_new.html")]
struct Blank {
    frame: Frame,
    project: String,
    repositories: Vec<String>,
    form: Asking,
    fault: Option<Fault>,
    other: Option<String>,
}

const AGENTS: [(&str, &str); 4] = [
    (agent::CLAUDE_CODE, "Claude Code"),
    (agent::CODEX, "Codex"),
    (agent::AUTO, "any installed agent"),
    (agent::COMMAND, "the repository’s command"),
];

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asking {
    project: String,
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
    once: String,
}

pub(crate) async fn blank(visit: Visit, asked: Result<Query<Asked>, Problem>) -> Result<Response, Fault> {
    let Query(asked) = asked?;
    let Some(project) = visit.project(asked.project).await? else { return Ok(NoProject::of(&visit, "jobs")) };
    visit.must_work()?;
    let form = Asking { ticket: asked.ticket.unwrap_or_default(), ..Asking::default() };
    written(&visit, &project, form, None).await
}

async fn written(visit: &Visit, project: &Project, form: Asking, refused: Option<Refused>) -> Result<Response, Fault> {
    let known = visit.ctx.store.repositories(&project.id).await.map_err(Error::from)?;
    let (fault, other) = refused.map_or((None, None), |refused| (Some(refused.fault), refused.other));
    let status = fault.as_ref().map_or(StatusCode::OK, |fault| fault.status);
    let shown = Blank {
        frame: visit.frame("Create job", "jobs", Some(&project.id)),
        project: project.id.to_string(),
        repositories: known.iter().map(|repository| repository.name.to_string()).collect(),
        // A new key, because a refused request is not repeated.
        form: Asking { once: once(), ..form },
        fault,
        other: other.map(|job| format!("/jobs/{job}")),
    };
    Ok(page(status, &shown))
}

struct Refused {
    fault: Fault,
    other: Option<JobId>,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self { fault, other: None }
    }
}

pub(crate) async fn create(visit: Visit, Form(form): Form<Asking>) -> Result<Response, Fault> {
    visit.must_work()?;
    let id = ProjectId::new(form.project.clone()).map_err(|_| Fault::not_found("There is no such project."))?;
    let project = visit.named(&id).await?;
    match make(&visit, &project.id, &form).await {
        Ok(job) => Ok(go(&format!("/jobs/{job}"))),
        Err(refused) if refused.fault.status.is_client_error() => written(&visit, &project, form, Some(refused)).await,
        Err(refused) => Err(refused.fault),
    }
}

async fn make(visit: &Visit, project: &ProjectId, form: &Asking) -> Result<JobId, Refused> {
    let wrong = |field: &str, fault: &str| {
        Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &format!("The field {field}: {fault}."))
    };
    let ticket = given(&form.ticket).map(TicketKey::new).transpose().map_err(|bad| wrong("ticket", bad.0))?;
    let repository = given(&form.repository).map(RepositoryName::new).transpose();
    let new = CreateJob {
        project: project.clone(),
        ticket,
        prompt: given(&form.prompt.replace("\r\n", "\n")),
        repository: repository.map_err(|bad| wrong("repository", bad.0))?,
        base: given(&form.base),
        agent: given(&form.agent),
        model: given(&form.model),
    };
    limits::job(&new).map_err(Fault::from)?;
    let request = JobRequest {
        project: new.project,
        ticket: new.ticket,
        instructions: new.prompt,
        repository: new.repository,
        base: new.base,
        agent: new.agent,
        model: new.model,
        retry_of: None,
    };
    let requester = visit.requester();
    let key = given(&form.once).and_then(|once| EventId::new(once).ok());
    let answer = control::create_job(&visit.ctx, &request, &requester, key).await.map_err(Fault::from)?;
    match (answer.reason.verdict(), answer.job) {
        (Verdict::Accepted | Verdict::Duplicate, Some(job)) => Ok(job),
        (_, other) => {
            let fault = Fault::new(StatusCode::CONFLICT, answer.reason.code(), &answer.reason.sentence());
            Err(Refused { fault: fault.help(&answer.reason.help()), other })
        }
    }
}
