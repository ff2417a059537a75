//! Creates tickets: from a form with all fields, and from the board with a title only.

use super::page::TicketPageQuery;
use crate::board::{Move, list_statuses};
use crate::prelude::*;
use pullyard_control::NewTicket;
use pullyard_domain::text::id::DeliveryId;
use pullyard_domain::ticket::event::TicketText;

#[derive(Template)]
#[template(path = "ticket_new.html")]
struct TicketFormPage {
    frame: Frame,
    statuses: Vec<Move>,
    repositories: Vec<String>,
    form: TicketForm,
    fault: Option<Fault>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TicketForm {
    pub(crate) project: String,
    /// Empty for the next number.
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) description: String,
    labels: String,
    status: String,
    repository: String,
    form_key: String,
}

pub(crate) async fn show_form(visit: PageContext, Query(query): Query<TicketPageQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    visit.check_may_work()?;
    render(&visit, &project, TicketForm::default(), None).await
}

async fn render(
    visit: &PageContext,
    project: &Project,
    form: TicketForm,
    fault: Option<Fault>,
) -> Result<Response, Fault> {
    let statuses = &project.settings.statuses;
    let repositories = visit.ctx.store.list_repositories(&project.id).await?;
    let key = match form.key.trim().is_empty() {
        true => {
            control::suggest_ticket_key(&visit.ctx, &project.id).await?.map(|key| key.to_string()).unwrap_or_default()
        }
        false => form.key.clone(),
    };
    let page = TicketFormPage {
        frame: visit.frame("New ticket", "board", Some(&project.id)),
        statuses: list_statuses(statuses, std::iter::empty()).iter().map(|status| Move::to(status, statuses)).collect(),
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        // A new key, because a refused request is not repeated.
        form: TicketForm { form_key: new_form_key(), key, ..form },
        fault,
    };
    Ok(render_form(page.fault.as_ref(), &page))
}

pub(crate) async fn create(visit: PageContext, Form(form): Form<TicketForm>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    match create_ticket(&visit, &project, &form).await {
        Ok(delivery) => Ok(redirect(&format!("/board?project={}&decision={delivery}", project.id))),
        Err(fault) => render(&visit, &project, form, Some(fault.for_form()?)).await,
    }
}

pub(crate) async fn create_ticket(
    visit: &PageContext,
    project: &Project,
    form: &TicketForm,
) -> Result<DeliveryId, Fault> {
    let key = parse_optional_id("key", &form.key)?;
    let text = TicketText {
        title: form.title.trim().to_owned(),
        description: form.description.replace("\r\n", "\n"),
        labels: form.labels.split(',').filter_map(non_empty).collect(),
        url: None,
        repository: parse_optional_id("repository", &form.repository)?,
    };
    let status = non_empty(&form.status);
    limits::check_new_ticket(&text.title, &text.description, status.as_deref(), &text.labels)?;
    let caller = visit.requester();
    let request = request_key(&form.form_key);
    let new = NewTicket { project: project.id.clone(), key, text, status, caller, request };
    Ok(control::create_ticket(&visit.ctx, new).await?.delivery)
}
