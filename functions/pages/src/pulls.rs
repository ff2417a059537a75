//! A ticket's pull request: the state of its reviews, and the form that requests a revision.

use crate::board::ticket_url;
use crate::hints::{Page, name_buttons};
use crate::prelude::*;
use pullyard_control::review::{self, PullRequestRef};
use pullyard_domain::decision::Verdict;
use pullyard_domain::pull_request::PullRequestState;
use pullyard_domain::ticket::Ticket;
use pullyard_protocol::pull_request::RevisePullRequest;

pub(crate) struct Reviews {
    pub(crate) label: SafeText,
    pub(crate) address: String,
    pub(crate) sentence: SafeText,
    pub(crate) help: Option<Help>,
    pub(crate) job: Option<String>,
    pub(crate) ledger: String,
    pub(crate) may_revise: bool,
    pub(crate) integration: String,
    pub(crate) repository: String,
    pub(crate) number: u64,
    pub(crate) form_key: String,
}

pub(crate) async fn load_reviews(visit: &PageContext, ticket: &Ticket) -> Result<Option<Reviews>, Fault> {
    let Some(view) = review::load_pull_request_of_ticket(&visit.ctx, ticket).await? else { return Ok(None) };
    let pull = view.pull_request;
    let (Some(address), Some(repository)) = (http_url(&pull.url), &pull.repository_name) else { return Ok(None) };
    let label = pull.label();
    let help = name_buttons(&view.help, Page::Ticket);
    Ok(Some(Reviews {
        ledger: format!("/decisions?project={}&pull_request={}", ticket.project, percent_encode(&label)),
        label: line(&label),
        address,
        sentence: line(&view.sentence),
        help: (help != "Nothing to do.").then(|| text::help(&help)),
        job: view.job.map(|job| format!("/jobs/{job}")),
        may_revise: pull.state == PullRequestState::Open,
        integration: pull.id.integration.to_string(),
        repository: repository.to_string(),
        number: pull.id.number,
        form_key: new_form_key(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReviseForm {
    project: String,
    ticket: String,
    #[serde(default)]
    integration: String,
    repository: String,
    number: u64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    form_key: String,
}

pub(crate) async fn revise(visit: PageContext, Form(form): Form<ReviseForm>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    let ticket = parse_id("ticket", &form.ticket)?;
    let request = RevisePullRequest {
        project: project.id,
        repository: parse_id("repository", &form.repository)?,
        number: form.number,
        integration: parse_optional_id("integration", &form.integration)?,
        message: non_empty(&form.message.replace("\r\n", "\n")),
    };
    let form_text = request.message.clone().unwrap_or_default();
    limits::check_revise(&request).map_err(|fault| Fault::from(fault).with_form_text(&form_text))?;
    let back = ticket_url(&request.project, &ticket);
    let RevisePullRequest { project, repository, number, integration, message } = request;
    let pull_request = PullRequestRef { project, repository, number, integration };
    let key = request_key(&form.form_key);
    let requester = visit.requester();
    let answer = review::request_revision(&visit.ctx, &pull_request, message, &requester, key.as_ref()).await;
    let answer = answer.map_err(|error| Fault::from(error).with_form_text(&form_text))?;
    match (answer.reason.verdict(), answer.job) {
        (Verdict::Accepted | Verdict::Duplicate, Some(job)) => Ok(redirect(&format!("/jobs/{job}"))),
        (Verdict::Refused, _) if !form_text.is_empty() => {
            Err(Fault::refused(&answer.reason).with_form_text(&form_text))
        }
        _ => Ok(redirect(&format!("{back}&decision={}", answer.delivery))),
    }
}
