//! A ticket's pull request: the state of its reviews, and the form that requests a revision.

use crate::board::address_of;
use crate::fault::Fault;
use crate::form::{Form, given, once};
use crate::frame::go;
use crate::text::{self, Help, Text, encoded, line, web};
use crate::visit::Visit;
use axum::http::StatusCode;
use axum::response::Response;
use pullyard_control::review::{self, Named};
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::{EventId, IntegrationId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::pull_request::PullRequestState;
use pullyard_domain::ticket::Ticket;
use pullyard_entry::limits;
use pullyard_protocol::pull::RevisePullRequest;
use serde::Deserialize;

pub(crate) struct Reviews {
    pub(crate) label: Text,
    pub(crate) address: String,
    pub(crate) sentence: Text,
    pub(crate) help: Option<Help>,
    pub(crate) job: Option<String>,
    pub(crate) ledger: String,
    pub(crate) may_revise: bool,
    pub(crate) integration: String,
    pub(crate) repository: String,
    pub(crate) number: u64,
    pub(crate) once: String,
}

pub(crate) async fn reviews(visit: &Visit, ticket: &Ticket) -> Result<Option<Reviews>, Fault> {
    let Some(view) = review::pull_request_of(&visit.ctx, ticket).await? else { return Ok(None) };
    let pull = view.pull_request;
    let (Some(address), Some(repository)) = (web(&pull.url), &pull.repository_name) else { return Ok(None) };
    let label = pull.label();
    // The page has a button for this command.
    let help = view.help.replace(&format!("`pullyard revise {label}`"), "“Revise”");
    Ok(Some(Reviews {
        ledger: format!("/deliveries?project={}&pull_request={}", ticket.project, encoded(&label)),
        label: line(&label),
        address,
        sentence: line(&view.sentence),
        help: (help != "Nothing to do.").then(|| text::help(&help)),
        job: view.job.map(|job| format!("/jobs/{job}")),
        may_revise: pull.state == PullRequestState::Open,
        integration: pull.id.integration.to_string(),
        repository: repository.to_string(),
        number: pull.id.number,
        once: once(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asking {
    project: String,
    ticket: String,
    #[serde(default)]
    integration: String,
    repository: String,
    number: u64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    once: String,
}

pub(crate) async fn revise(visit: Visit, Form(form): Form<Asking>) -> Result<Response, Fault> {
    visit.must_work()?;
    let wrong = |field: &str, fault: &str| {
        Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &format!("The field {field}: {fault}."))
    };
    let id = ProjectId::new(form.project).map_err(|_| Fault::not_found("There is no such project."))?;
    let project = visit.named(&id).await?;
    let ticket = TicketKey::new(form.ticket).map_err(|bad| wrong("ticket", bad.0))?;
    let integration = given(&form.integration).map(IntegrationId::new).transpose();
    let request = RevisePullRequest {
        project: project.id,
        repository: RepositoryName::new(form.repository).map_err(|bad| wrong("repository", bad.0))?,
        number: form.number,
        integration: integration.map_err(|bad| wrong("integration", bad.0))?,
        message: given(&form.message.replace("\r\n", "\n")),
    };
    let written = request.message.clone().unwrap_or_default();
    limits::revise(&request).map_err(|fault| Fault::from(fault).keeping(&written))?;
    let back = address_of(&request.project, &ticket);
    let RevisePullRequest { project, repository, number, integration, message } = request;
    let named = Named { project, repository, number, integration };
    let key = given(&form.once).and_then(|once| EventId::new(once).ok());
    let requester = visit.requester();
    let answer = review::request_revision(&visit.ctx, &named, message, &requester, key.as_ref()).await;
    let answer = answer.map_err(|error| Fault::from(error).keeping(&written))?;
    match (answer.reason.verdict(), answer.job) {
        (Verdict::Accepted | Verdict::Duplicate, Some(job)) => Ok(go(&format!("/jobs/{job}"))),
        (Verdict::Refused, _) if !written.is_empty() => {
            let fault = Fault::new(StatusCode::CONFLICT, answer.reason.code(), &answer.reason.sentence());
            Err(fault.help(&answer.reason.help()).keeping(&written))
        }
        _ => Ok(go(&format!("{back}&said={}", answer.delivery))),
    }
}
