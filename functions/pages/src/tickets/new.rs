//! Creates tickets: from a form with all fields, and from the board with a title only.

use super::page::TicketPageQuery;
use crate::board::{Move, list_statuses};
use crate::fault::Fault;
use crate::form::{Form, new_form_key, non_empty, request_key};
use crate::frame::{Frame, redirect, redirect_to_start, render_page};
use crate::params::Query;
use crate::visit::PageContext;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use pullyard_control::{self as control, Error, NewTicket};
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{DeliveryId, RepositoryName, TicketKey};
use pullyard_domain::project::Project;
use pullyard_entry::limits;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "ticket_new.html")]
struct TicketFormPage {
    frame: Frame,
    project: String,
    statuses: Vec<Move>,
    repositories: Vec<String>,
    form: TicketForm,
    fault: Option<Fault>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketForm {
    project: String,
    /// Empty for the next number.
    #[serde(default)]
    key: String,
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    labels: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    once: String,
}

pub(crate) async fn show_form(visit: PageContext, Query(query): Query<TicketPageQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    visit.check_may_work()?;
    render_form(&visit, &project, TicketForm::default(), None).await
}

async fn render_form(
    visit: &PageContext,
    project: &Project,
    form: TicketForm,
    fault: Option<Fault>,
) -> Result<Response, Fault> {
    let own = &project.settings.statuses;
    let repositories = visit.ctx.store.list_repositories(&project.id).await.map_err(Error::from)?;
    let key = match form.key.trim().is_empty() {
        true => control::suggest_ticket_key(&visit.ctx, &project.id).await?.to_string(),
        false => form.key.clone(),
    };
    let page = TicketFormPage {
        frame: visit.frame("New ticket", "board", Some(&project.id)),
        project: project.id.to_string(),
        statuses: list_statuses(own, std::iter::empty()).iter().map(|status| Move::to(status, own)).collect(),
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        // A new key, because a refused request is not repeated.
        form: TicketForm { once: new_form_key(), key, ..form },
        fault,
    };
    let status = page.fault.as_ref().map_or(StatusCode::OK, |fault| fault.status);
    Ok(render_page(status, &page))
}

pub(crate) async fn create(visit: PageContext, Form(form): Form<TicketForm>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    match create_ticket(&visit, &project, &form).await {
        Ok(delivery) => Ok(redirect(&format!("/board?project={}&said={delivery}", project.id))),
        Err(fault) if fault.status.is_client_error() => render_form(&visit, &project, form, Some(fault)).await,
        Err(fault) => Err(fault),
    }
}

async fn create_ticket(visit: &PageContext, project: &Project, form: &TicketForm) -> Result<DeliveryId, Fault> {
    let key = non_empty(&form.key).map(TicketKey::new).transpose().map_err(|bad| Fault::of_field("key", bad.0))?;
    let repository = non_empty(&form.repository).map(RepositoryName::new).transpose();
    let text = TicketText {
        title: form.title.trim().to_owned(),
        description: form.description.replace("\r\n", "\n"),
        labels: form.labels.split(',').filter_map(non_empty).collect(),
        url: None,
        repository: repository.map_err(|bad| Fault::of_field("repository", bad.0))?,
    };
    let status = non_empty(&form.status);
    limits::check_new_ticket(&text.title, &text.description, status.as_deref(), &text.labels)?;
    let caller = visit.requester();
    let request = request_key(&form.once);
    let new = NewTicket { project: project.id.clone(), key, text, status, caller, request };
    Ok(control::create_ticket(&visit.ctx, new).await?.delivery)
}
