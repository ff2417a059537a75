//! The form that requests a review of a pull request by an agent.

use super::list;
use crate::prelude::*;
use crate::verdict::accepted_job;
use pullyard_control::Answer;
use pullyard_control::review::{self, PullRequestRef};
use pullyard_domain::project::Repository;
use pullyard_domain::review::ReviewRequest;
use pullyard_domain::text::to_sentence;
use pullyard_protocol::pull_request::{PULL_REQUEST_NAME_HELP, PullRequestName, ReviewPullRequest};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReviewForm {
    project: String,
    /// As a user types it.
    pub(crate) pull_request: String,
    /// Sent by the page of a pull request.
    #[serde(default)]
    pub(crate) integration: String,
    #[serde(default)]
    pub(crate) message: String,
    /// Sent by the button that reviews everything again.
    full: Option<String>,
    /// Sent by the button that also fixes the findings.
    resolve: Option<String>,
    #[serde(default)]
    form_key: String,
}

pub(crate) async fn request(visit: PageContext, Form(form): Form<ReviewForm>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    let refusal = match send(&visit, &project, &form).await {
        Ok(answer) => match accepted_job(&answer) {
            Ok(job) => return Ok(redirect(&format!("/jobs/{job}"))),
            Err(fault) => (fault, Some(answer.reason)),
        },
        Err(fault) => (fault.for_form().map_err(|fault| fault.with_form_text(&form.message))?, None),
    };
    list::render(&visit, &project, None, form, Some(refusal)).await
}

async fn send(visit: &PageContext, project: &Project, form: &ReviewForm) -> Result<Answer, Fault> {
    let (repository, number) = find_repository(visit, project, form).await?;
    let request = ReviewPullRequest {
        project: project.id.clone(),
        repository: repository.name,
        number,
        integration: Some(repository.integration),
        message: non_empty(&form.message.replace("\r\n", "\n")),
        full: form.full.is_some(),
        agent: None,
        model: None,
    };
    limits::check_review(&request)?;
    let ReviewPullRequest { project, repository, number, integration, message, full, agent, model } = request;
    let reference = PullRequestRef { project, repository, number, integration };
    let resolve = form.resolve.is_some();
    let request = ReviewRequest { resolve, full, message, agent, model, ..ReviewRequest::default() };
    let key = request_key(&form.form_key);
    Ok(review::request_review(&visit.ctx, &reference, request, &visit.requester(), key.as_ref()).await?)
}

/// The host of an address must be the repository's: another forge may have a repository of the same name.
async fn find_repository(
    visit: &PageContext,
    project: &Project,
    form: &ReviewForm,
) -> Result<(Repository, u64), Fault> {
    let text = form.pull_request.trim();
    let name = PullRequestName::parse(text).ok_or_else(|| {
        let sentence =
            if text.is_empty() { "Which pull request?".into() } else { format!("“{text}” is not a pull request.") };
        Fault::invalid(&sentence).help(&to_sentence(PULL_REQUEST_NAME_HELP))
    })?;
    let typed = name.repository.as_ref().or(project.settings.default_repository.as_ref()).ok_or_else(|| {
        let sentence = format!("{text} has no repository, and the project {} has no default repository.", project.id);
        Fault::invalid(&sentence).help("Write OWNER/NAME#7.")
    })?;
    let is_named = |repository: &Repository| {
        let is_expected = form.integration.is_empty() || repository.integration.as_str() == form.integration;
        is_expected && repository.name.as_str().eq_ignore_ascii_case(typed.as_str())
    };
    let connected = visit.ctx.store.list_repositories(&project.id).await?;
    let found = connected.into_iter().find(|it| is_named(it) && name.has_host_of(&it.clone_url));
    let found = found.ok_or_else(|| {
        let host = name.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
        Fault::invalid(&format!("{typed}{host} is not connected to the project {}.", project.id))
            .help("Connect it with `pullyard repos add`.")
    })?;
    Ok((found, name.number))
}
