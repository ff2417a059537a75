//! Pull requests: their list, the page of each, the state of a ticket's reviews, and the form that requests a revision.

pub(crate) mod agent_reviews;
pub(crate) mod conversation;
pub(crate) mod form;
mod hosted;
pub(crate) mod list;
pub(crate) mod page;
pub(crate) mod request;

use crate::board::ticket_url;
use crate::hints::{Page, name_buttons};
use crate::prelude::*;
use pullyard_control::review::{self, PullRequestRef};
use pullyard_domain::project::Settings;
use pullyard_domain::review::pull_request::{Note, PullRequestState};
use pullyard_domain::text::decision::{Reason, Verdict};
use pullyard_domain::text::id::TicketKey;
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
    /// A review waits for the end of its hour.
    pub(crate) waits: bool,
    /// The project starts no revisions, and this user may change that.
    pub(crate) may_turn_on: bool,
    pub(crate) form_key: String,
}

pub(crate) async fn load_reviews(
    visit: &PageContext,
    settings: &Settings,
    ticket: &Ticket,
) -> Result<Option<Reviews>, Fault> {
    let Some(view) = review::load_pull_request_of_ticket(&visit.ctx, ticket).await? else { return Ok(None) };
    let pull = view.pull_request;
    let Some(address) = labels::pull_request_address(&visit.ctx, &pull.id, &pull.url) else { return Ok(None) };
    let label = pull.label();
    let is_refused = matches!(&pull.note, Some(Note::Decision { reason: Reason::RetriggerDisabled { .. } }));
    let help = name_buttons(&view.help, Page::Ticket);
    Ok(Some(Reviews {
        ledger: format!("/decisions?project={}&pull_request={}", ticket.project, percent_encode(&label)),
        label: line(&label),
        address,
        sentence: line(&view.sentence),
        // The button for it is below.
        help: (help != "Nothing to do." && view.deferred_until.is_none()).then(|| text::help(&help)),
        job: view.job.map(|job| format!("/jobs/{job}")),
        may_revise: pull.state == PullRequestState::Open,
        waits: view.deferred_until.is_some(),
        may_turn_on: is_refused && !settings.revise_on_review && visit.visitor.may_administer(),
        form_key: new_form_key(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReviseForm {
    project: String,
    ticket: String,
    #[serde(default)]
    message: String,
    /// Sent by the button that also turns automatic revisions on.
    turn_on: Option<String>,
    #[serde(default)]
    form_key: String,
}

/// Requests a revision of the ticket's pull request.
pub(crate) async fn revise(visit: PageContext, Form(form): Form<ReviseForm>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    let key: TicketKey = parse_id("ticket", &form.ticket)?;
    let message = non_empty(&form.message.replace("\r\n", "\n"));
    let form_text = message.clone().unwrap_or_default();
    let ticket = control::ticket_view(&visit.ctx, &project.id, &key).await?.ticket;
    let view = review::load_pull_request_of_ticket(&visit.ctx, &ticket).await?;
    let Some((id, repository)) = view.and_then(|view| Some((view.pull_request.id, view.pull_request.repository_name?)))
    else {
        return Err(Fault::conflict("The ticket has no pull request.").with_form_text(&form_text));
    };
    let (number, integration) = (id.number, Some(id.integration));
    let request = RevisePullRequest { project: project.id.clone(), repository, number, integration, message };
    limits::check_revise(&request).map_err(|fault| Fault::from(fault).with_form_text(&form_text))?;
    let turn_on = form.turn_on.is_some() && !project.settings.revise_on_review;
    if turn_on {
        visit.check_admin("change settings")?;
    }
    let (settings, settings_rev) = (project.settings, project.rev);
    let back = ticket_url(&request.project, &key);
    let RevisePullRequest { project, repository, number, integration, message } = request;
    let pull_request = PullRequestRef { project, repository, number, integration };
    let form_key = request_key(&form.form_key);
    let requester = visit.requester();
    let answer = review::request_revision(&visit.ctx, &pull_request, message, &requester, form_key.as_ref()).await;
    let answer = answer.map_err(|error| Fault::from(error).with_form_text(&form_text))?;
    if turn_on {
        // After the request, which needs no such setting: a refused request changes nothing.
        let settings = Settings { revise_on_review: true, ..settings };
        control::set_settings(&visit.ctx, visit.change_of(&pull_request.project), settings, settings_rev).await?;
    }
    match (answer.reason.verdict(), answer.job) {
        (Verdict::Accepted | Verdict::Duplicate, Some(job)) => Ok(redirect(&format!("/jobs/{job}"))),
        (Verdict::Refused, _) if !form_text.is_empty() => {
            Err(Fault::refused(&answer.reason).with_form_text(&form_text))
        }
        _ => Ok(redirect(&format!("{back}&decision={}", answer.delivery))),
    }
}
